#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tenon/core/philox.hpp"

namespace tenon::deploy {

/// How the next token is drawn. The steps follow one another as in transformers: penalty, temperature, top-k, top-p.
struct sampling {
  double temperature = 0.8;  ///< 0: always the likeliest token
  double top_p = 0.95;  ///< draw among the likeliest tokens that together hold this probability (Holtzman et al. 2020)
  std::uint64_t seed = 1;         ///< draws are a function of (seed, index of the token) alone
  std::int64_t top_k = 0;         ///< draw among this many likeliest tokens; 0: no such bound
  double repetition_penalty = 1;  ///< above 1: tokens of the text so far become less likely (Keskar et al. 2019)
};

/// Divides the positive logits of the ids in `text` by the penalty and multiplies the negative ones, each id once.
/// `seen` is reused memory.
inline void penalise(float* logits, std::int64_t vocab, std::span<std::int32_t const> text, double penalty,
                     std::vector<char>& seen) {
  seen.assign(std::size_t(vocab), 0);
  for (auto const id : text) {
    if (id < 0 || id >= vocab || seen[std::size_t(id)]++ != 0) continue;
    logits[id] = float(logits[id] < 0 ? double(logits[id]) * penalty : double(logits[id]) / penalty);
  }
}

/// Leaves in `room` the ids that may be drawn, likeliest first, with weights in proportion to their probability:
/// softmax(logits / temperature), cut to the top-k and then to the nucleus. Returns the sum of the weights. Requires a
/// temperature above 0.
inline double candidates(float const* logits, std::int64_t vocab, sampling const& how,
                         std::vector<std::pair<float, std::int32_t>>& room) {
  room.clear();
  for (std::int64_t i = 0; i < vocab; ++i) room.emplace_back(logits[i], std::int32_t(i));
  auto const likelier = [](auto const& a, auto const& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  };
  if (how.top_k > 0 && how.top_k < vocab) {
    std::partial_sort(room.begin(), room.begin() + how.top_k, room.end(), likelier);
    room.resize(std::size_t(how.top_k));
  } else {
    std::sort(room.begin(), room.end(), likelier);
  }
  float const top = room.front().first;
  double sum = 0;
  for (auto& [p, id] : room) {
    p = float(std::exp(double(p - top) / how.temperature));
    sum += p;
  }
  double kept = 0;
  std::size_t size = 0;
  while (size < room.size() && (size == 0 || kept < how.top_p * sum)) kept += room[size++].first;
  room.resize(size);
  return kept;
}

/// Draws one of the candidates; at temperature 0 the likeliest, the first of equals. `index` is the token's place in
/// the text.
inline std::int32_t draw(float const* logits, std::int64_t vocab, sampling const& how, std::uint64_t index,
                         std::vector<std::pair<float, std::int32_t>>& room) {
  if (how.temperature <= 0) return std::int32_t(std::max_element(logits, logits + vocab) - logits);
  double const kept = candidates(logits, vocab, how, room);
  double at = random_stream(how.seed, "sample").uniform(index) * kept;
  for (auto const& [p, id] : room)
    if ((at -= p) < 0) return id;
  return room.back().second;
}

}  // namespace tenon::deploy
