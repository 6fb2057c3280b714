#pragma once
#include <concepts>

#include "tenon/recipe/precision.hpp"
#include "tenon/recipe/rules/rule.hpp"
#include "tenon/recipe/target.hpp"

/// Rules about number formats and the machine.
namespace tenon::rules {

struct precision_native_on_target : rule<layer::shape, axis::target, axis::precision> {
#define TENON_TEXT                                                                                  \
  "[tenon.precision_native_on_target] the precision computes in a format that the target only "     \
  "emulates, many times slower than fp32. Write precision::native{} or fp32{} (fp16{} on a v100), " \
  "choose another target, or state .emulated = true to accept the cost"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = !std::same_as<precision_of<R>, precision::native>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    if constexpr (requires { r.precision.emulated; }) {
      if (r.precision.emulated) return true;
    }
    return r.target.facts().computes(precision_of<R>::compute);
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"precision", r.precision.kind}, finding{"target", r.target.kind}};
  }
  template <auto const& R>
  using refusal = with<resolved_precision_t<decltype(R)>::compute, R.target.facts().device>;
};

struct loss_scale_in_range : rule<layer::numbers, axis::precision> {
#define TENON_TEXT                                                                                      \
  "[tenon.loss_scale_in_range] the loss scaling of precision::fp16 cannot work: initial_scale must be " \
  "above 0, growth above 1, backoff between 0 and 1, growth_interval at least 1. Leave them out for "   \
  "65'536, 2, 0.5 and 2'000"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = std::same_as<precision_of<R>, precision::fp16>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.precision.initial_scale > 0 && r.precision.growth > 1 && r.precision.backoff > 0 &&
           r.precision.backoff < 1 && r.precision.growth_interval >= 1;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"precision.initial_scale", r.precision.initial_scale},
                      finding{"precision.growth", r.precision.growth},
                      finding{"precision.backoff", r.precision.backoff},
                      finding{"precision.growth_interval", r.precision.growth_interval}};
  }
  template <auto const& R>
  using refusal = with<(R.precision.initial_scale > 0), (R.precision.growth > 1),
                       (R.precision.backoff > 0 && R.precision.backoff < 1), R.precision.growth_interval>;
};

struct target_memory_given : rule<layer::shape, axis::target> {
#define TENON_TEXT                                                                     \
  "[tenon.target_memory_given] the target has no memory, so nothing could fit. Write " \
  "target::cpu{.memory = 24_GiB}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.target.facts().memory.count > 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"target.memory", r.target.facts().memory}};
  }
};

using precision_rules = list<precision_native_on_target, loss_scale_in_range, target_memory_given>;

}  // namespace tenon::rules
