#pragma once
#include <type_traits>

#include "tenon/exec/activations.hpp"
#include "tenon/exec/store.hpp"
#include "tenon/nn/dtype.hpp"
#include "tenon/recipe/precision.hpp"

/// The dtypes of the buffers that really exist, read off their types; the precision policy states what they must be.
namespace tenon::exec {

/// The dtype of a storage type.
template <class T>
consteval dtype dtype_of() {
  using plain = std::remove_cvref_t<std::remove_pointer_t<T>>;
  if constexpr (std::is_same_v<plain, nn::bf16>)
    return dtype::bf16;
  else if constexpr (std::is_same_v<plain, nn::fp16>)
    return dtype::fp16;
  else {
    static_assert(std::is_same_v<plain, float>, "a buffer of a type that no dtype plan knows");
    return dtype::fp32;
  }
}

/// The plan that the buffers of a static model in `Compute` with moments of type `Moment` amount to.
template <class Model, class Compute, class Moment = float>
consteval dtype_plan real_dtypes() {
  using store = parameter_store<Model, Compute>;
  using head = decltype(Model::template saved<Compute>::head);
  return {.parameter = dtype_of<decltype(std::declval<store const&>().compute())>(),
          .compute = dtype_of<decltype(head::normed.data)>(),
          .gradient = dtype_of<decltype(std::declval<store const&>().gradient())>(),
          .reduce = dtype_of<decltype(std::declval<store const&>().gradient())>(),  // gradients are exchanged as they are
          .master = dtype_of<decltype(std::declval<store const&>().master())>(),
          .moment = dtype_of<Moment>(),
          .logits = dtype_of<decltype(head::logits.data)>()};
}

/// Where the buffers of a recipe's model are not what its precision states, and its moments not what its optimizer names,
/// this does not compile.
template <class Model, class Compute, class Precision, dtype Named = dtype::fp32, class Moment = float>
struct dtypes_as_planned {
  static constexpr dtype_plan stated = [] {
    dtype_plan plan = Precision::plan;
    plan.moment = Named;
    return plan;
  }();
  static constexpr bool agree = real_dtypes<Model, Compute, Moment>() == stated;
  static_assert(agree, "[tenon.dtypes_as_planned] a buffer of the engine has another dtype than precision and optimizer state, so "
                       "--plan would print what is not there. Correct the policy's plan, or the engine's type");
};

}  // namespace tenon::exec
