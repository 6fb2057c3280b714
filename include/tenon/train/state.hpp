#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tenon/core/reflect.hpp"
#include "tenon/optim/loss_scale.hpp"
#include "tenon/optim/moments.hpp"
#include "tenon/recipe/recipe.hpp"
#include "tenon/train/step_report.hpp"

/// What a type of training state holds, found out from the type itself. One walk over its fields serves saving, loading
/// and comparing, so a field cannot be in one and not in the other.
namespace tenon::train {

/// Which file of the checkpoint a tensor goes to.
enum class file { model, optimizer, state };

namespace detail {
/// A visitor that does nothing: what is asked of a `visit` without calling it.
struct probe {
  template <class T>
  void tensor(file, std::string const&, std::vector<std::int64_t> const&, T*) {}
  void number(std::string const&, std::int64_t&) {}
  void number(std::string const&, double&) {}
};
template <class T>
struct is_moments : std::false_type {};
template <std::size_t N, class T>
struct is_moments<optim::moments<N, T>> : std::true_type {};
}  // namespace detail

/// What a walk over the state calls. `tensor` for tensors of float (moments may be nn::bf16), `number` for single values.
template <class V>
concept state_visitor = requires(V& v, std::string const& name, std::vector<std::int64_t> const& shape, float* data,
                                 std::int64_t& i, double& d) {
  v.tensor(file::model, name, shape, data);
  v.number(name, i);
  v.number(name, d);
};

/// A single value that a checkpoint holds as it is.
template <class T>
inline constexpr bool is_state_number = std::is_same_v<T, std::int64_t> || std::is_same_v<T, double>;

/// A type that lists its own content: `template <class V> static void visit(T& value, std::string const& name, V& v)`
/// calls v.number(name + ".part", field) and v.tensor(file::state, name + ".part", shape, data) for all of it, always
/// the same list.
template <class T>
concept lists_itself = requires(T& value, std::string const& name, detail::probe& p) {
  T::visit(value, name, p);
};

/// Moments of an optimizer: flat buffers in the layout of the parameters.
template <class T>
inline constexpr bool is_moments = detail::is_moments<T>::value;

/// Whether a checkpoint can hold a state of this type: a number (std::int64_t or double), an optimizer's moments, a
/// type that lists itself, or an aggregate of such. Anything else (a pointer, a float, a vector) would be lost.
template <class T>
consteval bool can_be_saved() {
  if constexpr (is_state_number<T> || is_moments<T> || lists_itself<T>)
    return true;
  else if constexpr (std::is_class_v<T> && std::is_aggregate_v<T>)
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return (can_be_saved<field_type<T, I>>() && ...);
    }(std::make_index_sequence<num_fields<T>>{});
  else
    return false;
}

/// Instantiated for each state of a trainer; does not compile where something of it would be lost.
template <class State>
struct state_saved {
  static constexpr bool whole = can_be_saved<State>();
  static_assert(
      whole,
      "[tenon.state_saved] a policy keeps state that a checkpoint cannot hold, so a resumed run would differ. Make each "
      "field std::int64_t, double or an aggregate of these, or give its type template <class V> static void "
      "visit(T&, std::string const& name, V&) that lists all of it; see docs/checkpoints.md");
};

/// Calls v.number for each number in `state`, named NAME.FIELD, and lets the types that list themselves do so.
template <class State, class V>
void visit_numbers(std::string const& name, State& state, V& v) {
  if constexpr (is_state_number<State>)
    v.number(name, state);
  else if constexpr (lists_itself<State>)
    State::visit(state, name, v);
  else if constexpr (!is_moments<State>)
    for_each_field(state, [&](std::string_view field, auto& member) {
      visit_numbers(name + "." + std::string(field), member, v);
    });
}

/// The state that a policy carries from step to step: its nested type `state`, where it has one. The optimizer's is that
/// of optim::engine.
template <class Policy>
struct state_of {
  static constexpr bool exists = false;
};
template <class Policy>
requires requires { typename Policy::state; }
struct state_of<Policy> {
  static constexpr bool exists = true;
  static constexpr std::string_view name = Policy::axis::name;  ///< what the names in a checkpoint begin with
  using type = typename Policy::state;
  static constexpr type start(Policy const&) { return {}; }
};
template <>
struct state_of<precision::fp16> {
  static constexpr bool exists = true;
  static constexpr std::string_view name = "loss_scale";
  using type = optim::loss_scale;
  static constexpr type start(precision::fp16 const& p) { return {.scale = p.initial_scale}; }
};

namespace detail {
struct named_end_of_step {
  int end_of_step;
};
struct named_adjusted {
  int adjusted;
};
template <class Policy, class Name>
struct with_name : Policy, Name {};
/// Whether a policy has a member of that name, whatever it takes: a second one of the name makes it ambiguous.
template <class Policy>
concept has_end_of_step = !requires { &with_name<Policy, named_end_of_step>::end_of_step; };
template <class Policy>
concept has_adjusted = !requires { &with_name<Policy, named_adjusted>::adjusted; };

/// Whether what a policy wants called can be called: `end_of_step` with its state and the step's report, `adjusted` of a
/// schedule with the rate and its state.
template <class Policy>
consteval bool hooks_fit() {
  if constexpr (!std::is_class_v<Policy> || std::is_final_v<Policy>) {
    return true;
  } else if constexpr (has_end_of_step<Policy> || has_adjusted<Policy>) {
    if constexpr (!state_of<Policy>::exists)
      return false;
    else
      return [](auto* state) {
        bool const ends = !has_end_of_step<Policy> || requires(Policy const& p, step_report const& r) { p.end_of_step(*state, r); };
        bool const adjusts = !has_adjusted<Policy> || requires(Policy const& p, double rate) { p.adjusted(rate, std::as_const(*state)); };
        return ends && adjusts;
      }(static_cast<typename state_of<Policy>::type*>(nullptr));
  } else {
    return true;
  }
}
}  // namespace detail

/// Instantiated for each policy of a trainer; does not compile where something that it wants called never would be.
template <class Policy>
struct hooks_called {
  static constexpr bool all = detail::hooks_fit<Policy>();
  static_assert(all,
                "[tenon.hooks_called] end_of_step or adjusted of a policy reads what it is not given, so it would never be "
                "called. Write void end_of_step(state&, tenon::train::step_report const&) const, in a schedule double "
                "adjusted(double rate, state const&) const, and the nested state that both are about");
};

/// The place of one policy's state; empty where it has none.
template <class Policy>
struct policy_slot : private hooks_called<Policy> {
  constexpr explicit policy_slot(Policy const&) {}
};
template <class Policy>
requires(state_of<Policy>::exists) struct policy_slot<Policy> : private state_saved<typename state_of<Policy>::type>,
                                                                private hooks_called<Policy> {
  typename state_of<Policy>::type value;
  constexpr explicit policy_slot(Policy const& p) : value(state_of<Policy>::start(p)) {}
};

/// The states of all policies of a recipe.
template <class Recipe>
struct policy_states;
template <class... Policies>
struct policy_states<recipe_t<Policies...>> : policy_slot<Policies>... {
  constexpr explicit policy_states(recipe_t<Policies...> const& r) : policy_states(r, r) {}

 private:
  template <class M, class T, class P, class O, class H, class B, class D, class C, class Z, class S, class A, class Y,
            class L, class K, class E, class I>
  constexpr policy_states(recipe_t<Policies...> const& r, policies_t<M, T, P, O, H, B, D, C, Z, S, A, Y, L, K, E, I> const&)
      : policy_slot<M>(r.model), policy_slot<T>(r.target), policy_slot<P>(r.precision), policy_slot<O>(r.objective),
        policy_slot<H>(r.horizon), policy_slot<B>(r.batch), policy_slot<D>(r.data), policy_slot<C>(r.curriculum),
        policy_slot<Z>(r.optimizer), policy_slot<S>(r.schedule), policy_slot<A>(r.trainable), policy_slot<Y>(r.memory),
        policy_slot<L>(r.parallel), policy_slot<K>(r.checkpoint), policy_slot<E>(r.observe), policy_slot<I>(r.seed) {}
};

/// In place of a state, where there is none.
struct no_state {};

namespace detail {
template <class Policy>
consteval bool state_is_lost() {
  if constexpr (state_of<Policy>::exists)
    return !can_be_saved<typename state_of<Policy>::type>();
  else
    return false;
}
/// The first state of these policies that cannot be saved.
template <class... Policies>
struct lost {
  using type = no_state;
};
template <class P, class... Rest>
struct lost<P, Rest...> : lost<Rest...> {};
template <class P, class... Rest>
requires(state_is_lost<P>()) struct lost<P, Rest...> {
  using type = typename state_of<P>::type;
};
template <class... Policies>
lost<Policies...> lost_in(recipe_t<Policies...> const&);
}  // namespace detail

/// The first state of a recipe's policies that a checkpoint cannot hold; no_state where there is none.
template <auto const& R>
using unsaved_state = typename decltype(detail::lost_in(R))::type;

/// static_assert(tenon::train::state_is_saved<my_recipe>); is true, or the error that the trainer of the recipe would be:
/// without LibTorch, so in a fraction of a second.
template <auto const& R>
inline constexpr bool state_is_saved = !__is_base_of(no_state, state_saved<unsaved_state<R>>);

namespace detail {
/// The first of these policies with a hook that would never be called.
template <class... Policies>
struct uncalled {
  using type = no_state;
};
template <class P, class... Rest>
struct uncalled<P, Rest...> : uncalled<Rest...> {};
template <class P, class... Rest>
requires(!hooks_fit<P>()) struct uncalled<P, Rest...> {
  using type = P;
};
template <class... Policies>
uncalled<Policies...> uncalled_in(recipe_t<Policies...> const&);
}  // namespace detail

/// The first policy of a recipe with a hook that would never be called; no_state where there is none.
template <auto const& R>
using uncalled_policy = typename decltype(detail::uncalled_in(R))::type;

/// static_assert(tenon::train::hooks_are_called<my_recipe>); is true, or the error that the trainer of the recipe would be.
template <auto const& R>
inline constexpr bool hooks_are_called = !__is_base_of(no_state, hooks_called<uncalled_policy<R>>);

}  // namespace tenon::train
