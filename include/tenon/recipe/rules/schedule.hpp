#pragma once
#include "tenon/recipe/horizon.hpp"
#include "tenon/recipe/rules/rule.hpp"
#include "tenon/recipe/schedule.hpp"

/// Rules about the length of the run and the learning rate.
namespace tenon::rules {

struct horizon_given : rule<layer::numbers, axis::horizon> {
#define TENON_TEXT                                                                    \
  "[tenon.horizon_given] the horizon is not positive, so the run has no step. Write " \
  "horizon{20'000_steps}, or an amount of tokens, samples or epochs"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.horizon.count > 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"horizon", r.horizon}};
  }
};

struct schedule_in_range : rule<layer::numbers, axis::schedule> {
#define TENON_TEXT                                                                                      \
  "[tenon.schedule_in_range] a field of the schedule is outside its range: peak above 0, floor from 0 " \
  "to 1, warmup and decay not negative and at most 100 percent. Correct that field"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    using schedule::in_range;
    return in_range(r.schedule);
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"schedule", r.schedule.kind},
                      finding{"rate of the first step", r.schedule.at(steps{0}, steps{1000}, tokens{1000})}};
  }
};

/// The values: steps of warmup and decay, steps of the run.
struct warmup_within_horizon : rule<layer::numbers, axis::horizon, axis::batch, axis::schedule> {
#define TENON_TEXT                                                                                      \
  "[tenon.warmup_within_horizon] the warmup and decay of the schedule are longer than the run, so its " \
  "rates would never be reached. Shorten .warmup (5_percent adapts to the run), or lengthen the "       \
  "horizon"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const& r, known k = {}) {
    auto const total = total_steps(r.horizon, r.batch, k.samples_per_epoch);
    return total.count <= 0 || r.schedule.ramp(total, tokens_per_step(r.batch)) <= total;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"steps of warmup and decay",
                              r.schedule.ramp(total_steps(r.horizon, r.batch), tokens_per_step(r.batch))},
                      finding{"steps of the run", total_steps(r.horizon, r.batch)}};
  }
};

using schedule_rules = list<horizon_given, schedule_in_range, warmup_within_horizon>;

}  // namespace tenon::rules
