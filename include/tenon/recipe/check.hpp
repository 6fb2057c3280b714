#pragma once
#include <cstddef>
#include <type_traits>
#include <utility>

#include "tenon/recipe/form.hpp"
#include "tenon/recipe/recipe.hpp"
#include "tenon/recipe/rules/batch.hpp"
#include "tenon/recipe/rules/contract.hpp"
#include "tenon/recipe/rules/curriculum.hpp"
#include "tenon/recipe/rules/data.hpp"
#include "tenon/recipe/rules/model.hpp"
#include "tenon/recipe/rules/optimizer.hpp"
#include "tenon/recipe/rules/precision.hpp"
#include "tenon/recipe/rules/run.hpp"
#include "tenon/recipe/rules/schedule.hpp"

namespace tenon::rules {

template <class... A, class... B>
list<A..., B...> operator+(list<A...>, list<B...>);

/// The number rules, in the order in which they are tried. The first that does not hold is the one that speaks.
using number_rules = decltype(model_rules{} + batch_rules{} + precision_rules{} + schedule_rules{} + optimizer_rules{} +
                              curriculum_rules{} + data_rules{} + run_rules{});

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

struct silent {};

/// The base of checked<R>: the refusal of rule I, or nothing.
template <int I, auto const& R>
struct verdict {
  using rule = decltype(at<I>(rules_for<std::remove_cvref_t<decltype(R)>>{}));
  using type = typename rule::template refusal<R>;
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
