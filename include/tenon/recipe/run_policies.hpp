#pragma once
#include <cstdint>
#include <string_view>

#include "tenon/core/fixed.hpp"
#include "tenon/core/units.hpp"
#include "tenon/recipe/axes.hpp"

namespace tenon::objective {

/// Cross-entropy of each next token, one division by the number of tokens of the step that have a target.
struct next_token {
  using axis = tenon::axis::objective;
  static constexpr std::string_view kind = "next_token";
  static constexpr std::string_view read_by = "train::step";
};

}  // namespace tenon::objective

namespace tenon::trainable {

/// Every parameter of the model.
struct all {
  using axis = tenon::axis::trainable;
  static constexpr std::string_view kind = "all";
  static constexpr std::string_view read_by = "optim::regions";
};

}  // namespace tenon::trainable

namespace tenon::memory {

/// Keep every activation that the backward pass needs.
struct keep {
  using axis = tenon::axis::memory;
  static constexpr std::string_view kind = "keep";
  static constexpr std::string_view read_by = "models::recompute_every";
};

/// Keep only the inputs of segments of blocks and compute their activations again in the backward pass; bit-identical to keep.
struct recompute {
  using axis = tenon::axis::memory;
  static constexpr std::string_view kind = "recompute";
  static constexpr std::string_view read_by = "models::recompute_every";
  fixed<int, digest::layout> every = 1;  ///< blocks of a segment: only its input is kept, and it runs forward again as a whole
};

}  // namespace tenon::memory

namespace tenon::checkpoint {

/// Nothing is saved, not even at the end.
struct never {
  using axis = tenon::axis::checkpoint;
  static constexpr std::string_view kind = "never";
  static constexpr std::string_view read_by = "app::session";
  static constexpr bool saves_whole_state = false;  ///< it saves nothing
};

/// Save periodically, at the end and on interruption. One rank writes the whole state.
struct every {
  using axis = tenon::axis::checkpoint;
  static constexpr std::string_view kind = "every";
  static constexpr std::string_view read_by = "app::session";
  static constexpr bool saves_whole_state = true;  ///< of the rank that writes: no other rank's part
  operational<tenon::period> period = tenon::period{steps{1000}};  ///< in steps or minutes
  operational<int> keep = 3;                                       ///< newest checkpoints that stay on disk
};

}  // namespace tenon::checkpoint

namespace tenon::observe {

/// Console, TensorBoard and JSON lines.
struct standard {
  using axis = tenon::axis::observe;
  static constexpr std::string_view kind = "standard";
  static constexpr std::string_view read_by = "app::session";
  operational<steps> log_every = steps{10};        ///< steps between lines of progress
  operational<steps> evaluate_every = steps{100};  ///< steps between evaluations on the held-out split; 0 for never
  operational<bool> tensorboard = true;            ///< write TensorBoard event files
  operational<bool> json_lines = true;             ///< write one JSON object per logged step
};

}  // namespace tenon::observe

namespace tenon {

/// Key of every random number of the run.
struct seed {
  using axis = tenon::axis::seed;
  static constexpr std::string_view kind = "seed";
  std::uint64_t value = 1;  ///< any number
};

}  // namespace tenon
