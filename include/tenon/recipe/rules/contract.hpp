#pragma once
#include <concepts>

#include "tenon/recipe/batch.hpp"
#include "tenon/recipe/horizon.hpp"
#include "tenon/recipe/parallel.hpp"
#include "tenon/recipe/precision.hpp"
#include "tenon/recipe/rules/rule.hpp"
#include "tenon/recipe/run_policies.hpp"
#include "tenon/recipe/target.hpp"

namespace tenon {

/// A schedule policy: the rate of a step, and the length that its warmup and decay need.
template <class S>
concept schedule_policy = requires(S const s, steps n, tokens t) {
  { s.at(n, n, t) } -> std::same_as<double>;
  { s.ramp(n, t) } -> std::same_as<steps>;
};

/// A model policy: at least the number of rows of its logits' last dimension.
template <class M>
concept model_policy = requires(M const m) {
  { m.vocab } -> std::convertible_to<int>;
};

/// A target policy: facts, and whether 16-bit formats are native, in its type.
template <class T>
concept target_policy = requires(T const t) {
  { t.facts() } -> std::same_as<target_facts>;
  { T::native_bf16 } -> std::convertible_to<bool>;
  { T::native_fp16 } -> std::convertible_to<bool>;
};

/// A precision policy: its compute dtype and its dtype plan, or precision::native.
template <class P>
concept precision_policy = std::same_as<P, precision::native> || requires {
  { P::compute } -> std::convertible_to<dtype>;
  { P::plan } -> std::convertible_to<dtype_plan>;
};

/// A data policy that says whether its samples can be found again.
template <class D>
concept data_policy = requires {
  { D::resumes_exactly } -> std::convertible_to<bool>;
};

/// A parallel policy that says how many ranks there are.
template <class P>
concept parallel_policy = requires(P const p) {
  { parallel::replicas_of(p) } -> std::same_as<parallel::replicas>;
};

/// A policy that says which code reads it.
template <class P>
concept policy_with_reader = requires {
  { P::read_by } -> std::convertible_to<std::string_view>;
};

}  // namespace tenon

/// Contract rules: a policy of the user's own has what its axis needs. They look at types alone: `kept<R>`.
namespace tenon::rules {

template <class Rule, class... Axes>
struct contract_rule : rule<layer::contract, Axes...> {
  template <class R>
  static constexpr bool holds(R const&, known = {}) {
    return Rule::template kept<R>;
  }
};

struct model_contract : contract_rule<model_contract, axis::model> {
#define TENON_TEXT                                                                                                 \
  "[tenon.model_contract] the model policy has no member `vocab`, and the loss and the tokenizer need the number " \
  "of logits. Add `tenon::fixed<int> vocab = 0;` to the policy"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <class... Policies>
  struct with {
    static_assert(never_of<Policies...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool kept = model_policy<model_of<R>>;
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model", r.model.kind}};
  }
  template <auto const& R>
  using refusal = with<model_of<std::remove_cvref_t<decltype(R)>>>;
};

/// Whether a type has one function of each name that a schedule needs, whatever they take.
template <class S>
concept has_schedule_names = requires {
  &S::at;
  &S::ramp;
};

struct schedule_units : contract_rule<schedule_units, axis::schedule> {
#define TENON_TEXT                                                                                               \
  "[tenon.schedule_units] `at` or `ramp` of the schedule reads a unit that it is not given: the loop gives the " \
  "step, the steps of the run and the tokens of a step, each in its own type. Write `constexpr double at(steps " \
  "step, steps total, tokens per_step) const` and `constexpr steps ramp(steps total, tokens per_step) const`"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <class... Policies>
  struct with {
    static_assert(never_of<Policies...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool kept = schedule_policy<schedule_of<R>> || !has_schedule_names<schedule_of<R>>;
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"schedule", r.schedule.kind}};
  }
  template <auto const& R>
  using refusal = with<schedule_of<std::remove_cvref_t<decltype(R)>>>;
};

struct schedule_contract : contract_rule<schedule_contract, axis::schedule> {
#define TENON_TEXT                                                                                                 \
  "[tenon.schedule_contract] the schedule policy lacks `at` or `ramp`, so the loop cannot ask it for a rate. Add " \
  "`constexpr double at(steps step, steps total, tokens per_step) const` and `constexpr steps ramp(steps total, "  \
  "tokens per_step) const` (the length of warmup and decay)"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <class... Policies>
  struct with {
    static_assert(never_of<Policies...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool kept = schedule_policy<schedule_of<R>> || has_schedule_names<schedule_of<R>>;
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"schedule", r.schedule.kind}};
  }
  template <auto const& R>
  using refusal = with<schedule_of<std::remove_cvref_t<decltype(R)>>>;
};

struct machine_contract : contract_rule<machine_contract, axis::target, axis::precision> {
#define TENON_TEXT                                                                                                    \
  "[tenon.machine_contract] the target or precision policy lacks what its axis needs, so dtypes cannot be resolved. " \
  "A target has `constexpr tenon::target_facts facts() const` and static `native_bf16`, `native_fp16`; a precision "  \
  "has static `compute` (tenon::dtype) and `plan` (tenon::dtype_plan)"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <class... Policies>
  struct with {
    static_assert(never_of<Policies...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class Target, class Precision>
  static constexpr bool complete = target_policy<Target>&& precision_policy<Precision>;
  template <class R>
  static constexpr bool kept = complete<target_of<R>, precision_of<R>>;
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"target", r.target.kind}, finding{"precision", r.precision.kind}};
  }
  template <auto const& R, class Recipe = std::remove_cvref_t<decltype(R)>>
  using refusal = with<target_of<Recipe>, precision_of<Recipe>>;
};

struct length_contract : contract_rule<length_contract, axis::horizon, axis::batch, axis::seed> {
#define TENON_TEXT                                                                                                 \
  "[tenon.length_contract] horizon, batch and seed are answered by a type of your own, but every part of the run " \
  "counts with tenon's. Use tenon::horizon{...}, tenon::batch{...} and tenon::seed{...}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <class... Policies>
  struct with {
    static_assert(never_of<Policies...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool kept = std::same_as<decltype(R::horizon), tenon::horizon>&&
      std::same_as<decltype(R::batch), tenon::batch>&& std::same_as<decltype(R::seed), tenon::seed>;
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"horizon", r.horizon.kind}, finding{"batch", r.batch.kind}, finding{"seed", r.seed.kind}};
  }
  template <auto const& R, class Recipe = std::remove_cvref_t<decltype(R)>>
  using refusal = with<decltype(Recipe::horizon), decltype(Recipe::batch), decltype(Recipe::seed)>;
};

struct source_resumes : contract_rule<source_resumes, axis::data> {
#define TENON_TEXT                                                                                                \
  "[tenon.source_resumes] the data policy does not say whether a sample can be found again, and a source that is " \
  "read in sequence goes on elsewhere after a resume. Add to the policy `static constexpr bool resumes_exactly = " \
  "true;` where sample n is found by its number, and `= false;` where only the next one is to be had"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <class... Policies>
  struct with {
    static_assert(never_of<Policies...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool kept = data_policy<decltype(R::data)>;
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"data", r.data.kind}};
  }
  template <auto const& R>
  using refusal = with<decltype(std::remove_cvref_t<decltype(R)>::data)>;
};

struct parallel_contract : contract_rule<parallel_contract, axis::parallel> {
#define TENON_TEXT                                                                                               \
  "[tenon.parallel_contract] the parallel policy does not say how many ranks there are, so a step cannot be "    \
  "divided among them. Give a dimension of mesh `ranks` and `bucket` as replicate has them, or a policy of your " \
  "own `constexpr tenon::parallel::replicas replicas() const`"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <class... Policies>
  struct with {
    static_assert(never_of<Policies...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool kept = parallel_policy<parallel_of<R>>;
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"parallel", r.parallel.kind}};
  }
  template <auto const& R>
  using refusal = with<parallel_of<std::remove_cvref_t<decltype(R)>>>;
};

/// The policy type that a recipe has for an axis.
template <class R>
auto policy_for(axis::model) -> decltype(R::model);
template <class R>
auto policy_for(axis::objective) -> decltype(R::objective);
template <class R>
auto policy_for(axis::data) -> decltype(R::data);
template <class R>
auto policy_for(axis::curriculum) -> decltype(R::curriculum);
template <class R>
auto policy_for(axis::optimizer) -> decltype(R::optimizer);
template <class R>
auto policy_for(axis::trainable) -> decltype(R::trainable);
template <class R>
auto policy_for(axis::memory) -> decltype(R::memory);
template <class R>
auto policy_for(axis::parallel) -> decltype(R::parallel);
template <class R>
auto policy_for(axis::checkpoint) -> decltype(R::checkpoint);
template <class R>
auto policy_for(axis::observe) -> decltype(R::observe);

/// One rule for each axis whose policies some code must read.
template <class Axis>
struct policy_read : contract_rule<policy_read<Axis>, Axis> {
#define TENON_TEXT                                                                                                 \
  "[tenon.policy_read] a policy of your own does not say which part of the run reads it, and one that is read by " \
  "none would be ignored. Once there is such code (an optim::engine, a models::architecture), add to the policy "  \
  "`static constexpr std::string_view read_by = \"where\";`"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <class... Policies>
  struct with {
    static_assert(never_of<Policies...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  using policy = decltype(policy_for<R>(Axis{}));
  template <class R>
  static constexpr bool kept = policy_with_reader<policy<R>>;
  template <class R>
  static constexpr auto seen(R const&) {
    return std::array{finding{Axis::name, policy<R>::kind}};
  }
  template <auto const& R>
  using refusal = with<policy<std::remove_cvref_t<decltype(R)>>>;
};

using contract_rules =
    list<model_contract, schedule_units, schedule_contract, machine_contract, length_contract, source_resumes,
         parallel_contract, policy_read<axis::model>,
         policy_read<axis::objective>, policy_read<axis::data>, policy_read<axis::curriculum>,
         policy_read<axis::optimizer>, policy_read<axis::trainable>, policy_read<axis::memory>,
         policy_read<axis::parallel>, policy_read<axis::checkpoint>, policy_read<axis::observe>>;

/// Whether the number rules may look at the members that contracts promise.
template <class R>
inline constexpr bool contracts_hold =
    []<class... Rules>(list<Rules...>) { return (Rules::template kept<R> && ...); }(contract_rules{});

}  // namespace tenon::rules
