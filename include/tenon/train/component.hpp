#pragma once
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "tenon/data/cursor.hpp"
#include "tenon/nn/layout.hpp"
#include "tenon/optim/loss_scale.hpp"

/// Training state is a list of components (trainer::components). The checkpoint's schema is computed from that list:
/// each component names its tensors and numbers once, in `visit`, and the same function serves saving, loading and
/// comparing.
namespace tenon::train {

/// Which file of the checkpoint a tensor goes to.
enum class file { model, optimizer, state };

/// What `visit` calls. `tensor` for fp32 tensors that live in the flat buffers; `number` for single values.
template <class V>
concept state_visitor = requires(V& v, std::string const& name, std::vector<std::int64_t> const& shape, float* data,
                                 std::int64_t& i, double& d) {
  v.tensor(file::model, name, shape, data);
  v.number(name, i);
  v.number(name, d);
};

/// Steps, tokens and the place in the data: what the loop itself must remember.
struct progress {
  std::int64_t step = 0;    ///< optimizer steps done
  std::int64_t tokens = 0;  ///< rows with a target that the loss has seen
  data::cursor cursor;      ///< the next sample

  template <class V>
  static void visit(progress& p, V& v) {
    v.number("progress.step", p.step), v.number("progress.tokens", p.tokens);
    v.number("cursor.stage", p.cursor.stage), v.number("cursor.epoch", p.cursor.epoch),
        v.number("cursor.sample", p.cursor.sample);
  }
};

/// The master weights under the names that Hugging Face uses.
struct parameter_component {
  float* master;
  std::vector<nn::parameter_place> const* places;
  template <class V>
  static void visit(parameter_component& c, V& v) {
    for (auto const& p : *c.places) v.tensor(file::model, p.name, p.shape(), c.master + p.offset);
  }
};

/// The optimizer's moments, each under PARAMETER.MOMENT, and its count of updates.
template <class Engine>
struct optimizer_component {
  typename Engine::state* state;
  std::vector<nn::parameter_place> const* places;
  template <class V>
  static void visit(optimizer_component& c, V& v) {
    for (std::size_t m = 0; m < c.state->moments.size(); ++m)
      for (auto const& p : *c.places)
        v.tensor(file::optimizer, p.name + "." + Engine::moment_names[m], p.shape(),
                 c.state->moments[m].template as<float>() + p.offset);
    v.number("optimizer.updates", c.state->updates);
  }
};

struct loss_scale_component {
  optim::loss_scale* scale;
  template <class V>
  static void visit(loss_scale_component& c, V& v) {
    v.number("loss_scale.scale", c.scale->scale), v.number("loss_scale.good_steps", c.scale->good_steps);
    v.number("loss_scale.skipped", c.scale->skipped);
  }
};

/// The progress that lives in the trainer.
struct progress_component {
  progress* at;
  template <class V>
  static void visit(progress_component& c, V& v) {
    progress::visit(*c.at, v);
  }
};

/// What an engine keeps beside parameters: the buffers of a torch module.
template <class Engine>
struct engine_component {
  Engine const* engine;
  template <class V>
  static void visit(engine_component& c, V& v) {
    c.engine->visit_state(v);
  }
};

namespace detail {
struct probe {
  void tensor(file, std::string const&, std::vector<std::int64_t> const&, float*) {}
  void number(std::string const&, std::int64_t&) {}
  void number(std::string const&, double&) {}
};
}  // namespace detail

/// A component that the checkpoint can hold. A policy with state whose component has no `visit` does not compile.
template <class C>
concept saved_component = requires(C& c, detail::probe& p) {
  C::visit(c, p);
};

}  // namespace tenon::train
