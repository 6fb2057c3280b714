#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/deploy/sampling.hpp"
#include "tenon/exec/activations.hpp"
#include "tenon/exec/cpu/executor.hpp"

namespace tenon::deploy {

/// Text from a model that lives in a training process or alone: forward only, with a key/value cache. Several texts of
/// different lengths grow together: each prompt is read on its own, then every step takes one token of each text, so
/// that the weights are read once for all of them. Memory is made at construction.
template <class Model, class Compute>
class generator {
 public:
  /// Texts that may grow at a time: the rows of logits that are kept, and of products that read a weight once.
  static constexpr int most_texts = 8;

  /// Room for `texts` (at most most_texts) texts of at most `length` tokens.
  generator(std::int64_t length, int members, nn::rotation const& turn, int texts = 1)
      : length_(std::min<std::int64_t>(length, Model::positions)),
        texts_(std::clamp(texts, 1, most_texts)),
        memory_(std::max(length_, texts_), members, length_, turn),
        cache_memory_(nn::activation_bytes<cache_type>(cache_rows(), members)) {
    nn::bind_activations(cache_, cache_memory_.data(), cache_rows(), members);
    for (std::int64_t i = 0; i < length_; ++i) positions_.push_back(std::int32_t(i)), start_.push_back(0);
  }

  /// Continues `text` (at least one token) until `stop(token)` is true or the text has the generator's length. A text
  /// as long as that keeps its last half. `emit(token)` is called for each new token. Ids at and beyond `vocab`
  /// (padding of the model's vocabulary) are never drawn.
  template <class Store, class Emit, class Stop>
  void run(exec::cpu::team& team, Store const& store, std::vector<std::int32_t> text, std::int64_t vocab,
           sampling const& how, Emit&& emit, Stop&& stop) {
    std::vector<std::vector<std::int32_t>> all;
    all.push_back(std::move(text));
    run_all(
        team, store, std::move(all), vocab, how, [&](std::size_t, std::int32_t id) { emit(id); },
        [&](std::size_t, std::int32_t id) { return stop(id); });
  }

  /// The same for up to `texts` texts at once: `emit(i, token)` and `stop(i, token)` name the text. What text i becomes
  /// does not depend on the others: its draws come from (seed, i, index), and text 0's are those of `run`.
  template <class Store, class Emit, class Stop>
  void run_all(exec::cpu::team& team, Store const& store, std::vector<std::vector<std::int32_t>> texts,
               std::int64_t vocab, sampling const& how, Emit&& emit, Stop&& stop) {
    if (std::int64_t(texts.size()) > texts_)
      throw error("the generator was made for " + std::to_string(texts_) + " texts and was given " +
                  std::to_string(texts.size()));
    room_.reserve(std::size_t(vocab)), seen_.reserve(std::size_t(vocab)), adjusted_.resize(std::size_t(vocab));
    std::vector<std::size_t> live;
    live.reserve(texts.size());  // from here on a token allocates nothing
    auto const next = [&](std::size_t i, float const* row) {  // draws and keeps a token; false where the text ends
      auto& text = texts[i];
      logits_ = row;
      if (how.repetition_penalty != 1) {
        std::copy_n(row, vocab, adjusted_.data());
        penalise(adjusted_.data(), vocab, text, how.repetition_penalty, seen_);
        row = adjusted_.data();
      }
      auto const id = draw(row, vocab, how, std::uint64_t(i) << 40 | std::uint64_t(text.size()), room_);
      if (stop(i, id)) return false;
      text.push_back(id);
      emit(i, id);
      return std::int64_t(text.size()) < length_;
    };
    for (std::size_t i = 0; i < texts.size(); ++i) {
      auto& text = texts[i];
      if (std::int64_t(text.size()) >= length_) text.erase(text.begin(), text.end() - length_ / 2);
      text.reserve(std::size_t(length_));
      forward(team, store,
              {.samples = 1,
               .sequence = std::int64_t(text.size()),
               .tokens = text.data(),
               .positions = positions_.data(),
               .document_start = start_.data()},
              cache_of(i));
      if (next(i, memory_.saved.head.logits.data)) live.push_back(i);
    }
    std::int32_t tokens[most_texts], at[most_texts], first[most_texts], rows[most_texts];
    while (!live.empty()) {
      std::size_t kept = 0;
      for (std::size_t r = 0; r < live.size(); ++r) {
        auto const& text = texts[live[r]];
        tokens[r] = text.back(), at[r] = std::int32_t(text.size() - 1);
        first[r] = std::int32_t(std::int64_t(live[r]) * length_), rows[r] = first[r] + at[r];
      }
      forward(team, store,
              {.samples = std::int64_t(live.size()),
               .sequence = 1,
               .tokens = tokens,
               .positions = at,
               .document_start = first,
               .past = texts_ * length_,
               .cache_row = rows},
              cache_);
      for (std::size_t r = 0; r < live.size(); ++r)
        if (next(live[r], memory_.saved.head.logits.data + std::int64_t(r) * Model::vocab)) live[kept++] = live[r];
      live.resize(kept);
    }
  }
  /// Logits that the last token was drawn from, before any penalty; [Model::vocab].
  float const* logits() const { return logits_; }
  std::int64_t length() const { return length_; }

 private:
  using cache_type = typename Model::template cache<Compute>;
  /// Each text has `length_` rows; behind them new keys and values come in.
  std::int64_t cache_rows() const { return texts_ * length_ + most_texts; }
  cache_type cache_of(std::size_t i) const {
    auto cache = cache_;
    nn::for_each_leaf(cache, [&](auto& view) { view.data = view.row(std::int64_t(i) * length_); });
    return cache;
  }
  template <class Store>
  void forward(exec::cpu::team& team, Store const& store, nn::micro_batch b, cache_type const& cache) {
    b.rotary_cos = memory_.rotary_cos, b.rotary_sin = memory_.rotary_sin;
    auto region = [&](int member) {
      exec::cpu::executor<Compute> x(team, member, memory_.workspace(member), memory_.shared());
      Model::decode(x, store, b, memory_.saved, cache);
    };
    team.run(region);
  }

  std::int64_t length_, texts_;
  exec::forward_activations<Model, Compute, most_texts> memory_;
  exec::buffer cache_memory_;
  cache_type cache_{};
  std::vector<std::int32_t> positions_, start_;
  std::vector<std::pair<float, std::int32_t>> room_;
  std::vector<char> seen_;
  std::vector<float> adjusted_;
  float const* logits_ = nullptr;
};

}  // namespace tenon::deploy
