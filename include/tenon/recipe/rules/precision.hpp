#pragma once
#include <concepts>

#include "tenon/recipe/model.hpp"
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

/// The first tensor cores with TF32 are Ampere's (NVIDIA A100 Tensor Core GPU Architecture whitepaper, 2020).
struct tf32_on_target : rule<layer::shape, axis::target, axis::precision> {
#define TENON_TEXT                                                                                           \
  "[tenon.tf32_on_target] precision::fp32 is to round the operands of products to TF32, which the target's " \
  "hardware does not multiply: CPUs and GPUs before compute capability 8.0 do not. Leave .tf32 out, or "     \
  "choose a target such as a100_80{} or h200{}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = std::same_as<precision_of<R>, precision::fp32>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return !r.precision.tf32 || r.target.facts().computes(dtype::tf32);
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"precision", r.precision.kind}, finding{"target", r.target.kind}};
  }
  template <auto const& R>
  using refusal = with<R.precision.tf32.get(), R.target.facts().device>;
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

struct fp16_has_scaler : rule<layer::shape, axis::precision> {
#define TENON_TEXT                                                                                        \
  "[tenon.fp16_has_scaler] a precision of your own computes in fp16, where small gradients become zero, " \
  "and only precision::fp16 has the loss scaler that prevents it. Write precision::fp16{}, or let yours " \
  "compute in dtype::bf16"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = !std::same_as<precision_of<R>, precision::native>;
  template <class R>
  static constexpr bool holds(R const&, known = {}) {
    return precision_of<R>::compute != dtype::fp16 || std::same_as<precision_of<R>, precision::fp16>;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"precision", r.precision.kind}};
  }
  template <auto const& R>
  using refusal = with<precision_of<std::remove_cvref_t<decltype(R)>>::compute>;
};

struct moments_not_narrower : rule<layer::shape, axis::precision> {
#define TENON_TEXT                                                                                       \
  "[tenon.moments_not_narrower] the dtype plan keeps the optimizer's moments in a narrower format than "  \
  "the master weights, which costs quality only late in a run. Leave .moment out of the plan, and name it " \
  "where it belongs: optimizer::adamw{.moment = tenon::dtype::bf16}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = !std::same_as<precision_of<R>, precision::native>;
  template <class R>
  static constexpr bool holds(R const&, known = {}) {
    constexpr dtype_plan p = precision_of<R>::plan;
    return size_of(p.moment) >= size_of(p.master);
  }
  template <class R>
  static constexpr auto seen(R const&) {
    return std::array{finding{"plan.moment", name_of(precision_of<R>::plan.moment)},
                      finding{"plan.master", name_of(precision_of<R>::plan.master)}};
  }
  template <auto const& R>
  using refusal = with<precision_of<std::remove_cvref_t<decltype(R)>>::plan.moment,
                       precision_of<std::remove_cvref_t<decltype(R)>>::plan.master>;
};

/// The value: the compute format.
struct dtype_plan_has_code : rule<layer::shape, axis::precision> {
#define TENON_TEXT                                                                                     \
  "[tenon.dtype_plan_has_code] the dtype plan states a format that the engine has no code for: compute "   \
  "must be fp32, bf16 or fp16, parameter the same, and gradient, reduce, master, moment and logits fp32. " \
  "Write dtype_plan{.parameter = compute, .compute = compute} and leave the others out"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = !std::same_as<precision_of<R>, precision::native>;
  template <class R>
  static constexpr bool holds(R const&, known = {}) {
    constexpr dtype_plan p = precision_of<R>::plan;
    constexpr dtype_plan has{.parameter = precision_of<R>::compute, .compute = precision_of<R>::compute};
    if (size_of(p.moment) < size_of(p.master)) return true;  // that one is moments_not_narrower's
    return p == has && precision_of<R>::compute != dtype::fp8 && precision_of<R>::compute != dtype::tf32;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"precision", r.precision.kind}};
  }
  template <auto const& R>
  using refusal = with<precision_of<std::remove_cvref_t<decltype(R)>>::compute>;
};

struct module_in_fp32 : rule<layer::shape, axis::model, axis::target, axis::precision> {
#define TENON_TEXT                                                                                        \
  "[tenon.module_in_fp32] the model is a foreign module, which computes in the format that its own code " \
  "chooses, and tenon drives it in fp32. Write precision::fp32{}, and cast inside the module if you "     \
  "must"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = is_foreign_module<model_of<R>>;
  template <class R>
  static constexpr bool holds(R const&, known = {}) {
    return resolved_precision_t<R>::compute == dtype::fp32;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model", r.model.kind}, finding{"precision", resolved_precision_t<R>::kind}};
  }
  template <auto const& R>
  using refusal = with<resolved_precision_t<decltype(R)>::compute>;
};

using precision_rules = list<precision_native_on_target, tf32_on_target, fp16_has_scaler, moments_not_narrower, dtype_plan_has_code,
                             module_in_fp32, loss_scale_in_range, target_memory_given>;

}  // namespace tenon::rules
