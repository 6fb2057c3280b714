#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tenon/core/philox.hpp"
#include "tenon/exec/activations.hpp"
#include "tenon/exec/cpu/executor.hpp"

namespace tenon::deploy {

/// How the next token is drawn.
struct sampling {
  double temperature = 0.8;  ///< 0: always the likeliest token
  double top_p = 0.95;  ///< draw among the likeliest tokens that together hold this probability (Holtzman et al. 2020)
  std::uint64_t seed = 1;  ///< draws are a function of (seed, index of the token) alone
};

/// Draws from softmax(logits / temperature), cut to the nucleus. `index` is the token's place in the text.
inline std::int32_t draw(float const* logits, std::int64_t vocab, sampling const& how, std::uint64_t index,
                         std::vector<std::pair<float, std::int32_t>>& room) {
  if (how.temperature <= 0) return std::int32_t(std::max_element(logits, logits + vocab) - logits);
  room.clear();
  float const top = *std::max_element(logits, logits + vocab);
  double sum = 0;
  for (std::int64_t i = 0; i < vocab; ++i) {
    float const p = float(std::exp(double(logits[i] - top) / how.temperature));
    room.emplace_back(p, std::int32_t(i));
    sum += p;
  }
  std::sort(room.begin(), room.end(),
            [](auto const& a, auto const& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
  double kept = 0;
  std::size_t size = 0;
  while (size < room.size() && (size == 0 || kept < how.top_p * sum)) kept += room[size++].first;
  double at = random_stream(how.seed, "sample").uniform(index) * kept;
  for (std::size_t i = 0; i < size; ++i)
    if ((at -= room[i].first) < 0) return room[i].second;
  return room[size - 1].second;
}

/// Text from a model that lives in a training process or alone: forward only, with a key/value cache, one sequence.
/// Memory is made at construction for texts of at most `length` tokens.
template <class Model, class Compute>
class generator {
 public:
  generator(std::int64_t length, int members, double rope_theta)
      : length_(std::min<std::int64_t>(length, Model::positions)),
        memory_(length_, members, length_, rope_theta),
        cache_memory_(nn::activation_bytes<typename Model::template cache<Compute>>(length_, members)) {
    nn::bind_activations(cache_, cache_memory_.data(), length_, members);
  }

  /// Continues `text` (at least one token) until `stop(token)` is true or the text has the generator's length.
  /// `emit(token)` is called for each new token. Ids at and beyond `vocab` (padding of the model's vocabulary) are
  /// never drawn.
  template <class Store, class Emit, class Stop>
  void run(exec::cpu::team& team, Store const& store, std::vector<std::int32_t> text, std::int64_t vocab,
           sampling const& how, Emit&& emit, Stop&& stop) {
    if (std::int64_t(text.size()) >= length_) text.erase(text.begin(), text.end() - length_ / 2);
    std::vector<std::int32_t> positions(static_cast<std::size_t>(length_)), start(static_cast<std::size_t>(length_), 0);
    for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = std::int32_t(i);
    std::vector<std::pair<float, std::int32_t>> room;
    room.reserve(std::size_t(vocab)), text.reserve(std::size_t(length_));  // a token allocates nothing
    for (std::int64_t past = 0; std::int64_t(text.size()) < length_;) {
      nn::micro_batch const b{.samples = 1,
                              .sequence = std::int64_t(text.size()) - past,
                              .tokens = text.data() + past,
                              .positions = positions.data() + past,
                              .document_start = start.data(),
                              .past = past,
                              .rotary_cos = memory_.rotary_cos,
                              .rotary_sin = memory_.rotary_sin};
      auto region = [&](int member) {
        exec::cpu::executor<Compute> x(team, member, memory_.workspace(member), memory_.shared());
        Model::decode(x, store, b, memory_.saved, cache_);
      };
      team.run(region);
      past = std::int64_t(text.size());
      auto const next = draw(logits(), vocab, how, std::uint64_t(past), room);
      if (stop(next)) return;
      text.push_back(next);
      emit(next);
    }
  }
  /// Logits of the last row that ran.
  float const* logits() const { return memory_.saved.head.logits.data; }
  std::int64_t length() const { return length_; }

 private:
  std::int64_t length_;
  exec::forward_activations<Model, Compute, 1> memory_;
  exec::buffer cache_memory_;
  typename Model::template cache<Compute> cache_{};
};

}  // namespace tenon::deploy
