#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "tenon/recipe/form.hpp"
#include "tenon/recipe/recipe.hpp"
#include "tenon/recipe/rules/batch.hpp"
#include "tenon/recipe/rules/contract.hpp"
#include "tenon/recipe/rules/curriculum.hpp"
#include "tenon/recipe/rules/data.hpp"
#include "tenon/recipe/rules/experts.hpp"
#include "tenon/recipe/rules/gpu.hpp"
#include "tenon/recipe/rules/launch.hpp"
#include "tenon/recipe/rules/model.hpp"
#include "tenon/recipe/rules/optimizer.hpp"
#include "tenon/recipe/rules/parallel.hpp"
#include "tenon/recipe/rules/precision.hpp"
#include "tenon/recipe/rules/rope.hpp"
#include "tenon/recipe/rules/run.hpp"
#include "tenon/recipe/rules/schedule.hpp"
#include "tenon/recipe/rules/trainable.hpp"

namespace tenon::rules {

template <class... A, class... B>
list<A..., B...> operator+(list<A...>, list<B...>);

/// The rules of a list that belong to a layer.
template <layer Layer, class... Rules>
auto in_layer(list<Rules...>)
    -> decltype((list<>{} + ... + std::conditional_t<layer_of<Rules> == Layer, list<Rules>, list<>>{}));

/// Every rule about policies whose contracts hold.
using recipe_rules = decltype(model_rules{} + expert_rules{} + rope_rules{} + batch_rules{} + precision_rules{} + schedule_rules{} + optimizer_rules{} +
                              curriculum_rules{} + data_rules{} + run_rules{} + parallel_rules{} + trainable_rules{} + gpu_rules{});

/// The same in the order in which they are tried: shape, then numbers. The first that does not hold speaks.
using number_rules = decltype(in_layer<layer::shape>(recipe_rules{}) + in_layer<layer::numbers>(recipe_rules{}));

/// Every rule about a recipe, for the pages that list them.
using all_rules = decltype(form_rules{} + contract_rules{} + number_rules{} + list<plan_static_layers>{} + launch_rules{});

/// The rules that a recipe type can be asked: where a contract is broken, the numbers behind it are not looked at.
template <class R>
using rules_for = std::conditional_t<contracts_hold<R>, number_rules, contract_rules>;

/// Whether a rule speaks about this type of recipe and does not hold for this value.
template <class Rule, class R>
constexpr bool broken(R const& r, known k) {
  if constexpr (Rule::template applies<R>)
    return !Rule::holds(r, k);
  else
    return false;
}

/// Index of the first rule that does not hold; -1 where all do.
template <class R, class... Rules>
constexpr int first_broken(R const& r, known k, list<Rules...>) {
  int index = 0;
  bool const any = ((broken<Rules>(r, k) || (++index, false)) || ...);
  return any ? index : -1;
}

template <int I, class Rule>
struct numbered {
  using type = Rule;
};
template <class Indices, class... Rules>
struct numbering;
template <std::size_t... I, class... Rules>
struct numbering<std::index_sequence<I...>, Rules...> : numbered<static_cast<int>(I), Rules>... {};
template <int I, class Rule>
numbered<I, Rule> pick(numbered<I, Rule>);
template <int I, class... Rules>
auto at(list<Rules...>) -> typename decltype(pick<I>(numbering<std::index_sequence_for<Rules...>, Rules...>{}))::type;

/// A number as a compiler prints it best: without a suffix where an int holds it.
template <std::int64_t N>
inline constexpr auto shown = [] {
  if constexpr (N == static_cast<int>(N))
    return static_cast<int>(N);
  else
    return N;
}();

/// The rule's `with` over the whole numbers among the values that it has seen.
template <class Rule, auto const& R>
struct refusal_by_values {
  static constexpr auto seen = Rule::seen(R);
  static constexpr auto whole = [] {
    std::array<std::size_t, seen.size() + 1> at{};  // the places, and last how many
    for (std::size_t i = 0; i < seen.size(); ++i)
      if (seen[i].whole()) at[at.back()++] = i;
    return at;
  }();
  template <std::size_t... I>
  static auto over(std::index_sequence<I...>) ->
      typename Rule::template with<shown<static_cast<std::int64_t>(seen[whole[I]].number)>...>;
  using type = decltype(over(std::make_index_sequence<whole.back()>{}));
};
template <class Rule, auto const& R>
requires requires { typename Rule::template refusal<R>; }
struct refusal_by_values<Rule, R> {
  using type = typename Rule::template refusal<R>;
};

struct silent {};

/// The base of checked<R>: the refusal of rule I, or nothing.
template <int I, auto const& R>
struct verdict {
  using rule = decltype(at<I>(rules_for<std::remove_cvref_t<decltype(R)>>{}));
  using type = typename refusal_by_values<rule, R>::type;
};
template <auto const& R>
struct verdict<-1, R> {
  using type = silent;
};

template <class Recipe>
constexpr int broken_rule(Recipe const& r, known k = {}) {
  if constexpr (std::same_as<Recipe, invalid>)
    return -1;  // recipe(...) has spoken already
  else
    return first_broken(r, k, rules_for<Recipe>{});
}

}  // namespace tenon::rules

namespace tenon {

/// Whether a recipe keeps every rule; never an error. What only the launch knows may be given too.
template <class Recipe>
constexpr bool is_legal(Recipe const& r, rules::known k = {}) {
  return !std::is_same_v<Recipe, invalid> && rules::broken_rule(r, k) < 0;
}

/// The base of whatever is built on a recipe (a trainer, a plan): empty for a legal recipe; for another one the
/// compiler says the sentence of the first rule that it breaks.
template <auto const& R>
using checked = typename rules::verdict<rules::broken_rule(R), R>::type;

/// static_assert(tenon::legal<my_recipe>); is true, or exactly one compile error with a rule's sentence. Never false,
/// so that the assertion adds nothing to the sentence; is_legal(my_recipe) is the question.
template <auto const& R>
inline constexpr bool legal = !__is_base_of(invalid, checked<R>);

/// The same as a function, for use inside other checks: true, or one compile error.
template <auto const& R>
consteval bool check() {
  return !__is_base_of(invalid, checked<R>);
}

}  // namespace tenon
