#pragma once
#include <type_traits>

#include "tenon/recipe/batch.hpp"
#include "tenon/recipe/curriculum.hpp"
#include "tenon/recipe/data.hpp"
#include "tenon/recipe/form.hpp"
#include "tenon/recipe/horizon.hpp"
#include "tenon/recipe/model.hpp"
#include "tenon/recipe/optimizer.hpp"
#include "tenon/recipe/precision.hpp"
#include "tenon/recipe/run_policies.hpp"
#include "tenon/recipe/schedule.hpp"
#include "tenon/recipe/target.hpp"

namespace tenon {

/// A training run as one value. Its type says which policies were chosen, its members hold their numbers.
template <class Model, class Target, class Precision, class Objective, class Horizon, class Batch, class Data,
          class Curriculum, class Optimizer, class Schedule, class Trainable, class Memory, class Parallel,
          class Checkpoint, class Observe, class Seed>
struct recipe_t {
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

  /// A copy with some fields changed: base.edit([](auto& r) { r.schedule.peak = 5e-4; }).
  template <class F>
  constexpr auto edit(F f) const {
    if constexpr (!form::edits_by_reference<F, recipe_t>()) {
      return invalid{};
    } else {
      recipe_t r = *this;
      f(r);
      return r;
    }
  }

  /// A copy with some axes answered by other policies: base.with(precision::fp16{}, schedule::constant{.peak = 1e-4}).
  template <class... Policies>
  constexpr auto with(Policies... policies) const {
    if constexpr (!form::distinct_policies<Policies...>()) {
      return invalid{};
    } else if constexpr (!form::replaces_types<(same_type<Policies>() || ...)>()) {
      return invalid{};
    } else {
      return put(policies...);
    }
  }

  /// A copy with one axis answered by this policy, even where its type is the one there already: fields not given take
  /// their defaults.
  template <class Policy>
  constexpr auto replace(Policy policy) const {
    if constexpr (!form::distinct_policies<Policy>())
      return invalid{};
    else
      return put(policy);
  }

 private:
  template <class Policy>
  static consteval bool same_type() {
    using p = Policy;
    return !form::is_whole<p> &&
           (std::is_same_v<p, Model> || std::is_same_v<p, Target> || std::is_same_v<p, Precision> ||
            std::is_same_v<p, Objective> || std::is_same_v<p, Horizon> || std::is_same_v<p, Batch> ||
            std::is_same_v<p, Data> || std::is_same_v<p, Curriculum> || std::is_same_v<p, Optimizer> ||
            std::is_same_v<p, Schedule> || std::is_same_v<p, Trainable> || std::is_same_v<p, Memory> ||
            std::is_same_v<p, Parallel> || std::is_same_v<p, Checkpoint> || std::is_same_v<p, Observe> ||
            std::is_same_v<p, Seed>);
  }

  template <class... Policies>
  constexpr auto put(Policies... policies) const;
};

/// A recipe out of policies in any order. Each axis left out takes its documented default; the model has none.
template <class... Policies>
constexpr auto recipe(Policies... policies) {
  if constexpr (!form::well_formed<Policies...>()) {
    return invalid{};
  } else {
    form::bag<Policies...> const all{{policies}...};
    auto const* b = &all;
    auto const assemble = [](auto... p) { return recipe_t<decltype(p)...>{p...}; };
    return assemble(form::take<axis::model, invalid>(b), form::take<axis::target, target::native>(b),
                    form::take<axis::precision, precision::native>(b),
                    form::take<axis::objective, objective::next_token>(b), form::take<axis::horizon, horizon>(b),
                    form::take<axis::batch, batch>(b), form::take<axis::data, data::corpus>(b),
                    form::take<axis::curriculum, curriculum::none>(b), form::take<axis::optimizer, optimizer::adamw>(b),
                    form::take<axis::schedule, schedule::warmup_cosine>(b),
                    form::take<axis::trainable, trainable::all>(b), form::take<axis::memory, memory::keep>(b),
                    form::take<axis::parallel, parallel::single>(b), form::take<axis::checkpoint, checkpoint::every>(b),
                    form::take<axis::observe, observe::standard>(b), form::take<axis::seed, seed>(b));
  }
}

template <class Model, class Target, class Precision, class Objective, class Horizon, class Batch, class Data,
          class Curriculum, class Optimizer, class Schedule, class Trainable, class Memory, class Parallel,
          class Checkpoint, class Observe, class Seed>
template <class... Policies>
constexpr auto recipe_t<Model, Target, Precision, Objective, Horizon, Batch, Data, Curriculum, Optimizer, Schedule,
                        Trainable, Memory, Parallel, Checkpoint, Observe, Seed>::put(Policies... policies) const {
  form::bag<Policies...> const all{{policies}...};
  auto const keep = [&all]<class Old>(Old const& old) {
    if constexpr (form::count<typename Old::axis, Policies...> == 0)
      return old;
    else
      return form::take<typename Old::axis, Old>(&all);
  };
  auto const assemble = [](auto... p) { return recipe_t<decltype(p)...>{p...}; };
  return assemble(keep(model), keep(target), keep(precision), keep(objective), keep(horizon), keep(batch), keep(data),
                  keep(curriculum), keep(optimizer), keep(schedule), keep(trainable), keep(memory), keep(parallel),
                  keep(checkpoint), keep(observe), keep(seed));
}

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

}  // namespace tenon
