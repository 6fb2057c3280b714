#pragma once
#include <concepts>

#include "tenon/recipe/expert_model.hpp"
#include "tenon/recipe/parallel.hpp"
#include "tenon/recipe/rules/rule.hpp"
#include "tenon/recipe/run_policies.hpp"

/// Rules about memory, checkpoints and reports.
namespace tenon::rules {

struct recompute_needs_layers : rule<layer::shape, axis::model, axis::memory> {
#define TENON_TEXT                                                                                   \
  "[tenon.recompute_needs_layers] memory::recompute repeats blocks of tenon's own layers, but this " \
  "model is a foreign module whose inside it cannot see. Write memory::keep{}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const&, known = {}) {
    return !std::same_as<decltype(R::memory), memory::recompute> || !is_foreign_module<model_of<R>>;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model", r.model.kind}, finding{"memory", r.memory.kind}};
  }
};

struct recompute_block_exists : rule<layer::shape, axis::model, axis::memory> {
#define TENON_TEXT                                                                                    \
  "[tenon.recompute_block_exists] memory.every chooses no block: it must be from 1 to model.layers. " \
  "Write recompute{.every = 1} for all blocks"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = std::same_as<decltype(R::memory), memory::recompute>&& is_decoder<model_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.memory.every >= 1 && r.memory.every <= r.model.layers;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"memory.every", r.memory.every}, finding{"model.layers", r.model.layers}};
  }
};

struct checkpoint_holds_state : rule<layer::shape, axis::parallel, axis::checkpoint> {
#define TENON_TEXT                                                                                               \
  "[tenon.checkpoint_holds_state] each rank holds a part of the training state, and the checkpoint policy saves " \
  "that of one rank as the whole, so a resumed run would lack the others'. Write checkpoint::never{}, a policy "  \
  "that saves each rank's part and says `saves_whole_state = false`, or ranks that hold everything "            \
  "(parallel::ddp)"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  /// A policy of one's own that does not say is taken for one that saves what one rank has.
  template <class Checkpoint>
  static constexpr bool whole = [] {
    if constexpr (requires { Checkpoint::saves_whole_state; })
      return bool(Checkpoint::saves_whole_state);
    else
      return true;
  }();
  template <class R>
  static constexpr bool holds(R const&, known = {}) {
    return !parallel::shards_state<parallel_of<R>>() || !whole<decltype(R::checkpoint)>;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"parallel", r.parallel.kind}, finding{"checkpoint", r.checkpoint.kind}};
  }
};

struct checkpoint_in_range : rule<layer::numbers, axis::checkpoint> {
#define TENON_TEXT                                                                                     \
  "[tenon.checkpoint_in_range] checkpoint.period must be positive and checkpoint.keep at least 1, or " \
  "the run would leave nothing to resume from. Write every{.period = 1'000_steps, .keep = 3}, or "     \
  "checkpoint::never{}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = std::same_as<decltype(R::checkpoint), checkpoint::every>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.checkpoint.period.count > 0 && r.checkpoint.keep >= 1;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"checkpoint.period", r.checkpoint.period}, finding{"checkpoint.keep", r.checkpoint.keep}};
  }
};

struct observe_in_range : rule<layer::numbers, axis::observe> {
#define TENON_TEXT                                                                                     \
  "[tenon.observe_in_range] observe.log_every must be at least 1 step and evaluate_every at least 0, " \
  "where 0 means never. Write standard{.log_every = 10_steps, .evaluate_every = 100_steps}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = std::same_as<decltype(R::observe), observe::standard>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.observe.log_every.count >= 1 && r.observe.evaluate_every.count >= 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"observe.log_every", r.observe.log_every},
                      finding{"observe.evaluate_every", r.observe.evaluate_every}};
  }
};

using run_rules = list<recompute_needs_layers, recompute_block_exists, checkpoint_holds_state, checkpoint_in_range,
                       observe_in_range>;

}  // namespace tenon::rules
