#pragma once
#include <string_view>

#include "tenon/core/units.hpp"
#include "tenon/recipe/axes.hpp"
#include "tenon/recipe/math.hpp"

/// Learning-rate schedules. `at(step, total, tokens_per_step)` is the rate of the update made by 0-based `step` of
/// `total`. With n = step + 1 the warmup is n / warmup, so the first update is not wasted and update number `warmup`
/// has the peak; what follows ends exactly at the last update. `ramp(total, tokens_per_step)` is the length that warmup
/// and decay need.
namespace tenon::schedule {

/// The same rate throughout.
struct constant {
  using axis = tenon::axis::schedule;
  static constexpr std::string_view kind = "constant";
  double peak = 3e-4;  ///< the rate

  constexpr double at(steps, steps, tokens) const { return peak; }
  constexpr steps ramp(steps, tokens) const { return steps{0}; }
};

/// Linear from 0 to the peak, then linear down to floor * peak at the last update.
struct warmup_linear {
  using axis = tenon::axis::schedule;
  static constexpr std::string_view kind = "warmup_linear";
  double peak = 3e-4;               ///< largest rate
  span_of_run warmup = percent{1};  ///< steps, tokens or percent of the horizon
  double floor = 0.0;               ///< last rate as a share of the peak, in [0, 1]

  constexpr double at(steps step, steps total, tokens per_step) const {
    auto const w = warmup.resolve(total, per_step).count;
    auto const n = step.count + 1;
    if (n <= w) return peak * static_cast<double>(n) / static_cast<double>(w);
    return peak * (1 - (1 - floor) * math::progress(n, w, total.count));
  }
  constexpr steps ramp(steps total, tokens per_step) const { return warmup.resolve(total, per_step); }
};

/// Linear from 0 to the peak, then half a cosine down to floor * peak at the last update (Loshchilov and Hutter 2017).
struct warmup_cosine {
  using axis = tenon::axis::schedule;
  static constexpr std::string_view kind = "warmup_cosine";
  double peak = 3e-4;               ///< largest rate
  span_of_run warmup = percent{1};  ///< steps, tokens or percent of the horizon
  double floor = 0.1;               ///< last rate as a share of the peak, in [0, 1]

  constexpr double at(steps step, steps total, tokens per_step) const {
    auto const w = warmup.resolve(total, per_step).count;
    auto const n = step.count + 1;
    if (n <= w) return peak * static_cast<double>(n) / static_cast<double>(w);
    double const half = 0.5 * (1 + math::cos_half_turns(math::progress(n, w, total.count)));
    return peak * (floor + (1 - floor) * half);
  }
  constexpr steps ramp(steps total, tokens per_step) const { return warmup.resolve(total, per_step); }
};

/// Linear from 0 to the peak, the peak for most of the run, then linear down to floor * peak at the last update
/// (Hu et al. 2024, MiniCPM).
struct warmup_stable_decay {
  using axis = tenon::axis::schedule;
  static constexpr std::string_view kind = "warmup_stable_decay";
  double peak = 3e-4;               ///< largest rate
  span_of_run warmup = percent{1};  ///< steps, tokens or percent of the horizon
  span_of_run decay = percent{10};  ///< length of the last part
  double floor = 0.1;               ///< last rate as a share of the peak, in [0, 1]

  constexpr double at(steps step, steps total, tokens per_step) const {
    auto const w = warmup.resolve(total, per_step).count;
    auto const n = step.count + 1;
    if (n <= w) return peak * static_cast<double>(n) / static_cast<double>(w);
    auto const start = total.count - decay.resolve(total, per_step).count;
    return n <= start ? peak : peak * (1 - (1 - floor) * math::progress(n, start, total.count));
  }
  constexpr steps ramp(steps total, tokens per_step) const {
    return warmup.resolve(total, per_step) + decay.resolve(total, per_step);
  }
};

/// Linear from 0 to the peak, then peak * sqrt(warmup / n) (Vaswani et al. 2017); without warmup, peak / sqrt(n).
struct inverse_sqrt {
  using axis = tenon::axis::schedule;
  static constexpr std::string_view kind = "inverse_sqrt";
  double peak = 3e-4;               ///< largest rate
  span_of_run warmup = percent{1};  ///< steps, tokens or percent of the horizon

  constexpr double at(steps step, steps total, tokens per_step) const {
    auto const w = warmup.resolve(total, per_step).count;
    auto const n = step.count + 1;
    if (n <= w) return peak * static_cast<double>(n) / static_cast<double>(w);
    return peak * math::sqrt(static_cast<double>(w > 0 ? w : 1) / static_cast<double>(n));
  }
  constexpr steps ramp(steps total, tokens per_step) const { return warmup.resolve(total, per_step); }
};

/// Whether a span is not negative and, in percent, at most the whole run.
constexpr bool in_range(span_of_run s) {
  return s.amount >= 0 && (s.in != span_of_run::unit::percent || s.amount <= 100);
}
/// Whether each field of a schedule is inside its range; a schedule of the user's own has to say so itself, by an
/// overload beside its type.
template <class Schedule>
constexpr bool in_range(Schedule const&) {
  return true;
}
constexpr bool in_range(constant const& s) { return s.peak > 0; }
constexpr bool in_range(warmup_linear const& s) {
  return s.peak > 0 && in_range(s.warmup) && s.floor >= 0 && s.floor <= 1;
}
constexpr bool in_range(warmup_cosine const& s) {
  return s.peak > 0 && in_range(s.warmup) && s.floor >= 0 && s.floor <= 1;
}
constexpr bool in_range(warmup_stable_decay const& s) {
  return s.peak > 0 && in_range(s.warmup) && in_range(s.decay) && s.floor >= 0 && s.floor <= 1;
}
constexpr bool in_range(inverse_sqrt const& s) { return s.peak > 0 && in_range(s.warmup); }

}  // namespace tenon::schedule
