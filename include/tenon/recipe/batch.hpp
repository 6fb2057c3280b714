#pragma once
#include <cstdint>
#include <string_view>

#include "tenon/core/fixed.hpp"
#include "tenon/core/units.hpp"
#include "tenon/recipe/axes.hpp"

namespace tenon {

/// How many tokens make a step. One micro-batch is [micro, sequence]; a step accumulates global / micro of them.
struct batch {
  using axis = tenon::axis::batch;
  static constexpr std::string_view kind = "batch";

  fixed<tokens, digest::numbers> sequence = tokens{512};  ///< length of a sample
  samples global = samples{8};                            ///< samples of a step, over all ranks
  fixed<samples, digest::layout> micro = samples{4};      ///< samples of one forward and backward pass; divides global

  /// Micro-batches of a step.
  constexpr std::int64_t accumulation() const { return micro.count == 0 ? 0 : global.count / micro.count; }
};

/// Tokens that one step consumes: sequence * global. 0 where a rule refuses them for being out of range.
constexpr tokens tokens_per_step(batch const& b) {
  constexpr std::int64_t most = std::int64_t{1} << 31;
  if (b.sequence.count <= 0 || b.sequence.count >= most || b.global.count <= 0 || b.global.count >= most)
    return tokens{0};
  return tokens{b.sequence.count * b.global.count};
}

}  // namespace tenon
