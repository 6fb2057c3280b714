#pragma once
#include "tenon/recipe/rules/launch.hpp"  // first, because a compiler prints the chain above a rule's sentence
//
#include "tenon/exec/plan.hpp"

namespace tenon::rules {

/// What the plan of a recipe needs, for one thread.
template <auto const& R>
inline constexpr known planned{.needed = bytes{make_plan<R>().total()}};

template <bool Holds, auto const& R>
struct plan_verdict {
  using type = silent;
};
template <auto const& R>
struct plan_verdict<false, R> {
  static constexpr auto values = plan_fits::seen(R, planned<R>);
  using type =
      plan_fits::with<static_cast<std::int64_t>(values[0].number), static_cast<std::int64_t>(values[1].number)>;
};

/// checked<R>, and for a legal recipe of static layers the verdict on its plan.
template <auto const& R>
struct checked_plan {
  static constexpr bool holds = [] {
    if constexpr (is_legal(R) && !is_foreign_module<model_of<std::remove_cvref_t<decltype(R)>>>)
      return plan_fits::holds(R, planned<R>);
    else
      return true;
  }();
  using type = std::conditional_t<is_legal(R), typename plan_verdict<holds, R>::type, checked<R>>;
};

}  // namespace tenon::rules

namespace tenon {

/// static_assert(tenon::fits<my_recipe>); is true, or one compile error: a rule's sentence where the recipe is not
/// legal, else how many MiB the plan needs and the target has. True for a module under autograd, whose memory nobody
/// knows before it runs. Never false; plan<R>.fits is the question.
template <auto const& R>
inline constexpr bool fits = !__is_base_of(invalid, typename rules::checked_plan<R>::type);

}  // namespace tenon
