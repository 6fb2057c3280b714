#pragma once
#include <cstdint>
#include <type_traits>

#include "tenon/recipe/defaults.hpp"
#include "tenon/recipe/form.hpp"

namespace tenon {

/// One policy per axis.
template <class Model, class Target, class Precision, class Objective, class Horizon, class Batch, class Data,
          class Curriculum, class Optimizer, class Schedule, class Trainable, class Memory, class Parallel,
          class Checkpoint, class Observe, class Seed>
struct policies_t {
  Model model;
  Target target;
  Precision precision;
  Objective objective;
  Horizon horizon;
  Batch batch;
  Data data;
  Curriculum curriculum;
  Optimizer optimizer;
  Schedule schedule;
  Trainable trainable;
  Memory memory;
  Parallel parallel;
  Checkpoint checkpoint;
  Observe observe;
  Seed seed;
};

/// Calls f(axis tag, policy) for each of the sixteen axes, in the order of the members.
template <class Recipe, class F>
constexpr void for_each_axis(Recipe&& r, F&& f) {
  f(axis::model{}, r.model), f(axis::target{}, r.target), f(axis::precision{}, r.precision);
  f(axis::objective{}, r.objective), f(axis::horizon{}, r.horizon), f(axis::batch{}, r.batch);
  f(axis::data{}, r.data), f(axis::curriculum{}, r.curriculum), f(axis::optimizer{}, r.optimizer);
  f(axis::schedule{}, r.schedule), f(axis::trainable{}, r.trainable), f(axis::memory{}, r.memory);
  f(axis::parallel{}, r.parallel), f(axis::checkpoint{}, r.checkpoint), f(axis::observe{}, r.observe);
  f(axis::seed{}, r.seed);
}

/// A training run as one value. Its type says which policies were chosen, its members (those of policies_t) hold their
/// numbers. `parent` holds the values of the recipe that this one was derived from, for describe; the bits of
/// `inherited` say for which axes, in the order of the members.
template <class... Policies>
struct recipe_t : policies_t<Policies...> {
  policies_t<Policies...> parent;
  std::uint32_t inherited = 0;

  /// A copy with some fields changed: base.edit([](auto& r) { r.schedule.peak = 5e-4; }).
  template <class F>
  constexpr auto edit(F f) const& {
    if constexpr (constexpr auto m = form::in_edit<F, recipe_t>(); m != form::mistake::none)
      return static_cast<void>(sizeof(form::refusal<m>)), invalid{};
    else
      return edited(*this, all_axes, f);
  }
  /// The same for a recipe without a name, which does not count as one to inherit from.
  template <class F>
  constexpr auto edit(F f) && {
    if constexpr (constexpr auto m = form::in_edit<F, recipe_t>(); m != form::mistake::none)
      return static_cast<void>(sizeof(form::refusal<m>)), invalid{};
    else
      return edited(this->parent, inherited, f);
  }

  /// A copy with some axes answered by other policies: base.with(precision::fp16{}, schedule::constant{.peak = 1e-4}).
  template <class... New>
  constexpr auto with(New... policies) const& {
    if constexpr (constexpr auto m = form::in_with<any_same<New...>, New...>(); m != form::mistake::none)
      return static_cast<void>(sizeof(form::refusal<m>)), invalid{};
    else
      return put(*this, all_axes, policies...);
  }
  template <class... New>
  constexpr auto with(New... policies) && {
    if constexpr (constexpr auto m = form::in_with<any_same<New...>, New...>(); m != form::mistake::none)
      return static_cast<void>(sizeof(form::refusal<m>)), invalid{};
    else
      return put(this->parent, inherited, policies...);
  }

  /// A copy with the axes of these policies answered by them, even where their types are the ones there already: fields
  /// not given take their defaults.
  template <class... New>
  constexpr auto replace(New... policies) const& {
    if constexpr (constexpr auto m = form::in_policies<New...>(); m != form::mistake::none)
      return static_cast<void>(sizeof(form::refusal<m>)), invalid{};
    else
      return put(*this, all_axes, policies...);
  }
  template <class... New>
  constexpr auto replace(New... policies) && {
    if constexpr (constexpr auto m = form::in_policies<New...>(); m != form::mistake::none)
      return static_cast<void>(sizeof(form::refusal<m>)), invalid{};
    else
      return put(this->parent, inherited, policies...);
  }

  /// The same policies with a small model and a short run (recipe/rehearsal.hpp), to pass before the full run starts.
  template <class Self = recipe_t>
  constexpr auto rehearsal() const {
    return rehearse(static_cast<Self const&>(*this));
  }

 private:
  static constexpr std::uint32_t all_axes = 0xffff;
  template <class... New>
  static constexpr bool any_same = (form::is_one_of<New, Policies...> || ...);

  template <class F>
  constexpr recipe_t edited(policies_t<Policies...> const& from, std::uint32_t mask, F& f) const {
    recipe_t r = *this;
    r.parent = from;
    r.inherited = mask;
    f(r);
    return r;
  }

  /// This recipe with `policies` put in. Axes that keep their policy are marked as inherited from `from` where `mask`
  /// says that it has them.
  template <class... New>
  constexpr auto put(policies_t<Policies...> const& from, std::uint32_t mask, New... policies) const {
    form::bag<New...> const all{{policies}...};
    auto const keep = [&all]<class Old>(Old const& old) {
      if constexpr (form::count<typename Old::axis, New...> == 0)
        return old;
      else
        return form::take<typename Old::axis, Old>(&all);
    };
    std::uint32_t bit = 1, kept = 0;
    for_each_axis(*this, [&](auto tag, auto const&) {
      if (form::count<decltype(tag), New...> == 0) kept |= mask & bit;
      bit <<= 1;
    });
    auto const assemble = [&keep](auto const& p) {
      auto const pack = [](auto... q) { return policies_t<decltype(q)...>{q...}; };
      return pack(keep(p.model), keep(p.target), keep(p.precision), keep(p.objective), keep(p.horizon), keep(p.batch),
                  keep(p.data), keep(p.curriculum), keep(p.optimizer), keep(p.schedule), keep(p.trainable),
                  keep(p.memory), keep(p.parallel), keep(p.checkpoint), keep(p.observe), keep(p.seed));
    };
    auto const finish = []<class... P>(policies_t<P...> const& now, policies_t<P...> const& before, std::uint32_t m) {
      return recipe_t<P...>{{now}, before, m};
    };
    return finish(assemble(*this), assemble(from), kept);
  }
};

/// A recipe out of policies in any order. Each axis left out takes its documented default; the model has none.
template <class... Policies>
constexpr auto recipe(Policies... policies) {
  if constexpr (constexpr auto m = form::in_recipe<Policies...>(); m != form::mistake::none) {
    return static_cast<void>(sizeof(form::refusal<m>)), invalid{};
  } else {
    form::bag<Policies...> const all{{policies}...};
    auto const get = [&all](auto tag) { return form::take<decltype(tag), default_policy_t<decltype(tag)>>(&all); };
    auto const assemble = [](auto... p) {
      return recipe_t<decltype(p)...>{{p...}, policies_t<decltype(p)...>{p...}, 0};
    };
    return assemble(get(axis::model{}), get(axis::target{}), get(axis::precision{}), get(axis::objective{}),
                    get(axis::horizon{}), get(axis::batch{}), get(axis::data{}), get(axis::curriculum{}),
                    get(axis::optimizer{}), get(axis::schedule{}), get(axis::trainable{}), get(axis::memory{}),
                    get(axis::parallel{}), get(axis::checkpoint{}), get(axis::observe{}), get(axis::seed{}));
  }
}

}  // namespace tenon
