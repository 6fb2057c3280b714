#pragma once
#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tenon/data/cursor.hpp"
#include "tenon/nn/layout.hpp"
#include "tenon/train/state.hpp"

/// The components of a training state. A trainer's list of them is computed from its types (components_of): parameters,
/// the optimizer, the progress with the place in the data, the state of each policy that has one, what the engine keeps
/// beside parameters. Random numbers need none: they are a function of seed, names and step.
namespace tenon::train {

/// Steps, tokens and the place in the data: what the loop itself must remember.
struct progress {
  std::int64_t step = 0;    ///< optimizer steps done
  std::int64_t tokens = 0;  ///< rows with a target that the loss has seen
  data::cursor cursor;      ///< the next sample
};

/// The master weights under the names that Hugging Face uses.
struct parameter_component {
  static constexpr char const* name = "parameters";
  float* master;
  std::vector<nn::parameter_place> const* places;
  template <class V>
  static void visit(parameter_component& c, V& v) {
    for (auto const& p : *c.places) v.tensor(file::model, p.name, p.shape(), c.master + p.offset);
  }
};

/// The optimizer's moments, each under PARAMETER.MOMENT, and the numbers of its state under optimizer.FIELD.
template <class Engine>
struct optimizer_component : private state_saved<typename Engine::state> {
  static constexpr char const* name = "optimizer";
  typename Engine::state* state;
  std::vector<nn::parameter_place> const* places;
  optimizer_component(typename Engine::state* s, std::vector<nn::parameter_place> const* p) : state(s), places(p) {}
  template <class V>
  static void visit(optimizer_component& c, V& v) {
    if constexpr (requires { c.state->moments; })
      for (std::size_t m = 0; m < c.state->moments.size(); ++m)
        for (auto const& p : *c.places)
          v.tensor(file::optimizer, p.name + "." + Engine::moment_names[m], p.shape(),
                   c.state->moments.at(m) + p.offset);
    visit_numbers("optimizer", *c.state, v);
  }
};

/// The progress that lives in the trainer.
struct progress_component {
  static constexpr char const* name = "progress";
  progress* at;
  template <class V>
  static void visit(progress_component& c, V& v) {
    visit_numbers("progress", *c.at, v);
  }
};

/// The state of one policy, under its axis' name.
template <class Policy>
struct policy_component {
  static constexpr std::string_view name = state_of<Policy>::name;
  typename state_of<Policy>::type* state;
  template <class V>
  static void visit(policy_component& c, V& v) {
    visit_numbers(std::string(name), *c.state, v);
  }
};

/// What an engine keeps beside parameters: the buffers of a torch module.
template <class Engine>
struct engine_component {
  static constexpr char const* name = "engine";
  Engine const* engine;
  template <class V>
  static void visit(engine_component& c, V& v) {
    c.engine->visit_state(v);
  }
};

/// The typed list of all components: what a checkpoint holds, no more and no less.
template <class Engine, class Optimizer, class... Policies>
auto components_of(Engine& engine, typename Optimizer::state& state, progress& at,
                   policy_states<recipe_t<Policies...>>& policies) {
  auto const own = [&] {
    if constexpr (requires(detail::probe & p) { engine.visit_state(p); })
      return std::tuple{engine_component<Engine>{&engine}};
    else
      return std::tuple{};
  };
  auto const of_policy = [&]<class P>(std::type_identity<P>) {
    if constexpr (state_of<P>::exists)
      return std::tuple{policy_component<P>{&static_cast<policy_slot<P>&>(policies).value}};
    else
      return std::tuple{};
  };
  return std::tuple_cat(
      std::tuple{parameter_component{engine.master(), &engine.places()},
                 optimizer_component<Optimizer>{&state, &engine.places()}, progress_component{&at}},
      of_policy(std::type_identity<Policies>{})..., own());
}

}  // namespace tenon::train
