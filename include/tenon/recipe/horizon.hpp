#pragma once
#include <cstdint>
#include <string_view>

#include "tenon/core/units.hpp"
#include "tenon/recipe/axes.hpp"
#include "tenon/recipe/batch.hpp"

namespace tenon {

/// The one owner of the run's length, in steps, tokens, samples or epochs: horizon{20'000'000_tokens}. Default: 1
/// epoch.
struct horizon {
  using axis = tenon::axis::horizon;
  static constexpr std::string_view kind = "horizon";
  enum class unit { steps, tokens, samples, epochs };

  unit in = unit::epochs;
  std::int64_t count = 1;

  constexpr horizon() = default;
  constexpr horizon(steps n) : in(unit::steps), count(n.count) {}
  constexpr horizon(tokens n) : in(unit::tokens), count(n.count) {}
  constexpr horizon(samples n) : in(unit::samples), count(n.count) {}
  constexpr horizon(epochs n) : in(unit::epochs), count(n.count) {}
  friend constexpr bool operator==(horizon, horizon) = default;
};

/// Steps of the whole run, rounded up to whole steps (at most 2^62 samples are counted). `samples_per_epoch` is read
/// only for a horizon in epochs; where it is not known (0), such a horizon gives 0 steps.
constexpr steps total_steps(horizon h, batch const& b, samples samples_per_epoch = samples{0}) {
  constexpr std::int64_t most = std::int64_t{1} << 62;
  auto const up = [](std::int64_t n, std::int64_t per) { return steps{per <= 0 ? 0 : (n + per - 1) / per}; };
  switch (h.in) {
    case horizon::unit::steps:
      return steps{h.count};
    case horizon::unit::tokens:
      return up(h.count, tokens_per_step(b).count);
    case horizon::unit::samples:
      return up(h.count, b.global.count);
    case horizon::unit::epochs:
      return up(samples_per_epoch.count > 0 && h.count > most / samples_per_epoch.count
                    ? most
                    : h.count * samples_per_epoch.count,
                b.global.count);
  }
  return steps{0};
}

}  // namespace tenon
