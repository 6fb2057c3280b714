#pragma once
#include <concepts>
#include <string_view>
#include <type_traits>
#include <utility>

#include "tenon/recipe/axes.hpp"

namespace tenon {

/// What recipe(...) returns after it has reported a mistake; everything done with it is silent, so that one mistake
/// gives one error.
struct invalid {
  template <class F>
  constexpr invalid edit(F&&) const {
    return {};
  }
  template <class... Policies>
  constexpr invalid with(Policies const&...) const {
    return {};
  }
  template <class Policy>
  constexpr invalid replace(Policy const&) const {
    return {};
  }
};

/// A complete policy under a name, such as a shape of variants/. `.with(whole{...})` puts it in as it is, even where
/// the recipe already has a policy of that type: nothing in it is left to a default by accident.
template <class Policy>
struct whole {
  using axis = typename Policy::axis;
  static constexpr std::string_view kind = Policy::kind;
  Policy policy;
};
template <class Policy>
whole(Policy) -> whole<Policy>;

}  // namespace tenon

/// The form rules: they look at the arguments of recipe(...) and .with(...) and fire there.
namespace tenon::form {

template <class Policy>
inline constexpr bool is_whole = false;
template <class Policy>
inline constexpr bool is_whole<whole<Policy>> = true;

template <class Policy>
constexpr Policy plain(Policy const& p) {
  return p;
}
template <class Policy>
constexpr Policy plain(whole<Policy> const& w) {
  return w.policy;
}
template <class Policy>
using plain_t = decltype(plain(std::declval<Policy const&>()));

template <class Axis, class... Policies>
inline constexpr int count = (0 + ... + int(std::same_as<typename Policies::axis, Axis>));

/// True for policies of one value (horizon, seed): putting in another one resets nothing.
template <class Policy>
inline constexpr bool has_one_value = std::is_empty_v<Policy>;

template <class New, class... Policies>
inline constexpr bool is_one_of = !has_one_value<New> && (std::is_same_v<New, Policies> || ...);

/// What can be wrong with the arguments of recipe(...), .with(...), .replace(...) and .edit(...).
enum class mistake { none, not_a_policy, twice, no_model, with_same_policy, edit_by_reference };

template <class... Policies>
consteval mistake in_policies() {
  if constexpr (!(is_policy<Policies>() && ...))
    return mistake::not_a_policy;
  else
    return ((count<typename Policies::axis, Policies...> == 1) && ...) ? mistake::none : mistake::twice;
}

template <class... Policies>
consteval mistake in_recipe() {
  constexpr mistake found = in_policies<Policies...>();
  if constexpr (found != mistake::none)
    return found;
  else
    return count<axis::model, Policies...> == 1 ? mistake::none : mistake::no_model;
}

/// `Same` says whether one of the arguments has the type that its axis has already.
template <bool Same, class... Policies>
consteval mistake in_with() {
  constexpr mistake found = in_policies<Policies...>();
  return found != mistake::none ? found : Same ? mistake::with_same_policy : mistake::none;
}

template <class F, class Recipe>
consteval mistake in_edit() {
  return std::is_invocable_v<F, Recipe> ? mistake::edit_by_reference : mistake::none;
}

/// Says the sentence of a mistake, once, where the user's line is near.
template <mistake M>
consteval invalid say() {
  constexpr bool policies = M != mistake::not_a_policy, once = M != mistake::twice, model = M != mistake::no_model,
                 another = M != mistake::with_same_policy, by_reference = M != mistake::edit_by_reference;
  static_assert(
      policies,
      "[tenon.not_a_policy] an argument is not a policy: it has no `axis` out of tenon::axis and no `kind`, so "
      "no part of the run would read it. Give policy objects, such as tenon::precision::bf16{} or "
      "tenon::horizon{1'000_steps}; docs/policies.md lists them");
  static_assert(once,
                "[tenon.twice] two policies answer the same axis, so one of them would be ignored. Give one per axis; "
                "to vary a finished recipe write recipe.with(policy)");
  static_assert(model,
                "[tenon.no_model] no model was given, and it is the one axis without a default. Add one, such as "
                "tenon::model::deepseek_llm{.vocab = 32'256, .hidden = 512, .layers = 8, .heads = 8, "
                ".intermediate = 1'376}");
  static_assert(
      another,
      "[tenon.with_same_policy] .with was given a policy of the type that the recipe already has, which would "
      "reset every field that you did not repeat. Write .edit([](auto& r) { r.schedule.peak = 1e-4; }) to "
      "change fields, or .replace(policy) to start that policy afresh");
  static_assert(by_reference,
                "[tenon.edit_by_reference] .edit was given a function that takes the recipe by value, so its changes "
                "would be lost. Write [](auto& r) { ... }");
  return {};
}

template <class Axis, class Policy>
struct slot {
  Policy value;
};
/// The arguments, each found through the base of its axis.
template <class... Policies>
struct bag : slot<typename Policies::axis, Policies>... {};

/// The policy of an axis out of a bag, or its default.
template <class Axis, class Default, class Policy>
constexpr auto take(slot<Axis, Policy> const* s) {
  return plain(s->value);
}
template <class Axis, class Default>
constexpr Default take(void const*) {
  return Default{};
}

}  // namespace tenon::form
