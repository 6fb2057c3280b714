#pragma once
#include "tenon/recipe/rules/launch.hpp"  // first, because a compiler prints the chain above a rule's sentence
//
#include "tenon/exec/plan.hpp"

namespace tenon::rules {

/// What plan and target say of a recipe that has a plan.
template <auto const& R>
struct judged_plan {
  static constexpr known needs{.needed = bytes{make_plan<R>().total()}};
  static constexpr auto seen = plan_fits::seen(R, needs);
  using type = std::conditional_t<
      plan_fits::holds(R, needs), silent,
      plan_fits::with<static_cast<std::int64_t>(seen[0].number), static_cast<std::int64_t>(seen[1].number)>>;
};
template <auto const& R>
requires(!std::is_same_v<plan_refusal<R>, silent>) struct judged_plan<R> {
  using type = plan_refusal<R>;
};

}  // namespace tenon::rules

namespace tenon {

/// static_assert(tenon::fits<my_recipe>); is true, or one compile error: the sentence of the rule that is broken; that
/// the model has no plan; or how many MiB the plan needs and the target has. Never false; plan<R>.fits is the question.
template <auto const& R>
inline constexpr bool fits = !__is_base_of(invalid, typename rules::judged_plan<R>::type);

}  // namespace tenon
