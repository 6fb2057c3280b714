#pragma once
#include <string_view>
#include <type_traits>

#include "tenon/core/fixed.hpp"
#include "tenon/recipe/axes.hpp"
#include "tenon/recipe/dtype.hpp"

namespace tenon {

/// The dtype of every kind of buffer, stated by each precision policy.
struct dtype_plan {
  dtype parameter = dtype::fp32;  ///< the copy that the layers read
  dtype compute = dtype::fp32;    ///< activations and GEMM inputs
  dtype gradient = dtype::fp32;   ///< accumulation over micro-batches
  dtype reduce = dtype::fp32;     ///< exchange between ranks
  dtype master = dtype::fp32;     ///< the copy that the optimizer updates
  dtype moment = dtype::fp32;     ///< optimizer state
  dtype logits = dtype::fp32;     ///< input of the loss
  bool tf32 = false;              ///< a GPU's products round their fp32 operands to TF32
  /// What products multiply; they add in fp32.
  constexpr dtype product() const { return tf32 ? dtype::tf32 : compute; }
  friend constexpr bool operator==(dtype_plan const&, dtype_plan const&) = default;
};

}  // namespace tenon

namespace tenon::precision {

/// Everything in single precision.
struct fp32 {
  using axis = tenon::axis::precision;
  static constexpr std::string_view kind = "fp32";
  static constexpr dtype compute = dtype::fp32;
  static constexpr dtype_plan plan{};
  fixed<bool, digest::layout> tf32 = false;  ///< on a GPU, let products round their operands to TF32: 10 bits behind the point, several times as fast
};

/// Layers in bfloat16; gradients, master weights, moments, reduction and logits in fp32.
struct bf16 {
  using axis = tenon::axis::precision;
  static constexpr std::string_view kind = "bf16";
  static constexpr dtype compute = dtype::bf16;
  static constexpr dtype_plan plan{.parameter = dtype::bf16, .compute = dtype::bf16};
  fixed<bool, digest::layout> emulated = false;  ///< allow a target that computes bf16 by emulation
};

/// Layers in half precision with dynamic loss scaling (growth and back-off, Micikevicius et al. 2018); gradients,
/// master weights, moments, reduction and logits in fp32.
struct fp16 {
  using axis = tenon::axis::precision;
  static constexpr std::string_view kind = "fp16";
  static constexpr dtype compute = dtype::fp16;
  static constexpr dtype_plan plan{.parameter = dtype::fp16, .compute = dtype::fp16};
  fixed<bool, digest::layout> emulated = false;  ///< allow a target that computes fp16 by emulation
  double initial_scale = 65536.0;              ///< loss scale of the first step
  double growth = 2.0;                         ///< factor after growth_interval good steps
  double backoff = 0.5;                        ///< factor after an overflow; the step is skipped
  int growth_interval = 2000;                  ///< good steps in a row before the scale grows
};

/// bf16 where the target computes it natively, else fp32.
struct native {
  using axis = tenon::axis::precision;
  static constexpr std::string_view kind = "native";
};

}  // namespace tenon::precision

namespace tenon {

/// The precision that a recipe runs in: its own, or what precision::native means on its target.
template <class Recipe>
struct resolved_precision {
  using target_type = std::remove_cvref_t<decltype(Recipe::target)>;
  using given = std::remove_cvref_t<decltype(Recipe::precision)>;
  using type = std::conditional_t<std::is_same_v<given, precision::native>,
                                  std::conditional_t<target_type::native_bf16, precision::bf16, precision::fp32>, given>;
};
template <class Recipe>
using resolved_precision_t = typename resolved_precision<std::remove_cvref_t<Recipe>>::type;

/// A policy of a recipe, or where it is precision::native, what that means.
template <class Recipe, class Policy>
constexpr auto as_meant(Policy const& p) {
  if constexpr (std::is_same_v<Policy, precision::native>)
    return resolved_precision_t<Recipe>{};
  else
    return p;
}

/// The format that an optimizer policy names for its moments; that of the precision's plan where it names none.
template <class Optimizer>
constexpr dtype moment_of(Optimizer const& o, dtype_plan const& plan) {
  if constexpr (requires { o.moment; })
    return o.moment;
  else
    return plan.moment;
}

/// The dtype of every kind of buffer of a recipe: its precision's plan, with the moments that its optimizer names and
/// with what its precision lets products round.
template <class Recipe>
constexpr dtype_plan dtypes_of(Recipe const& r) {
  dtype_plan plan = resolved_precision_t<Recipe>::plan;
  plan.moment = moment_of(r.optimizer, plan);
  if constexpr (requires { r.precision.tf32; }) plan.tf32 = r.precision.tf32;
  return plan;
}

}  // namespace tenon
