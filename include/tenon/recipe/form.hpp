#pragma once
#include <concepts>
#include <string_view>
#include <type_traits>
#include <utility>

#include "tenon/recipe/axes.hpp"
#include "tenon/recipe/rules/form.hpp"

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
  template <class... Policies>
  constexpr invalid replace(Policies const&...) const {
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

template <mistake>
struct rule_of;
template <>
struct rule_of<mistake::not_a_policy> : std::type_identity<rules::not_a_policy> {};
template <>
struct rule_of<mistake::twice> : std::type_identity<rules::twice> {};
template <>
struct rule_of<mistake::no_model> : std::type_identity<rules::no_model> {};
template <>
struct rule_of<mistake::with_same_policy> : std::type_identity<rules::with_same_policy> {};
template <>
struct rule_of<mistake::edit_by_reference> : std::type_identity<rules::edit_by_reference> {};

/// The type that says the sentence of a mistake, once, where the user's line is near: `sizeof` it, return invalid.
template <mistake M>
using refusal = typename rule_of<M>::type::template with<>;

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
