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

/// Supervised fine-tuning on conversations: cross-entropy of what the assistant says, and of nothing else. The chat template
/// that comes with the tokenizer writes them; several share a sample as documents of their own. One division by the number
/// of answers' tokens of the step.
struct sft {
  using axis = tenon::axis::objective;
  static constexpr std::string_view kind = "sft";
  static constexpr std::string_view read_by = "app::prepare_text";
};

/// Whether an objective reads conversations instead of texts.
template <class Objective>
inline constexpr bool reads_conversations = false;
template <>
inline constexpr bool reads_conversations<sft> = true;

}  // namespace tenon::objective

namespace tenon::trainable {

/// Every parameter of the model.
struct all {
  using axis = tenon::axis::trainable;
  static constexpr std::string_view kind = "all";
  static constexpr std::string_view read_by = "models::training_of";
};

/// The model of --init stays as it is; beside each matrix W of the named roles two small ones are trained:
/// y = W x + alpha / rank * B (A x) (LoRA; Hu et al. 2021, arXiv 2106.09685). A begins uniform, B zero, as in PEFT.
struct lora {
  using axis = tenon::axis::trainable;
  static constexpr std::string_view kind = "lora";
  static constexpr std::string_view read_by = "models::training_of";
  fixed<int> rank = 16;            ///< rows of A, columns of B
  fixed<double> alpha = 32;        ///< what B (A x) is multiplied with, times rank
  fixed<bool> attention = true;    ///< adapt the projections of attention
  fixed<bool> feed_forward = true; ///< adapt those of the feed-forward that every token goes through; no routed experts
};

/// Parameters of some roles stay as the model of --init has them; all others are trained.
struct frozen {
  using axis = tenon::axis::trainable;
  static constexpr std::string_view kind = "frozen";
  static constexpr std::string_view read_by = "models::training_of";
  fixed<bool> embedding = true;      ///< the embedding and the head
  fixed<bool> norm = false;          ///< the norms
  fixed<bool> attention = false;     ///< the projections of attention
  fixed<bool> feed_forward = false;  ///< those of the feed-forward that every token goes through, shared experts included
  fixed<bool> experts = false;       ///< routed experts and their routers
};

/// Whether some weights stay as another model has them.
template <class Trainable>
inline constexpr bool keeps_a_base = false;
template <>
inline constexpr bool keeps_a_base<lora> = true;
template <>
inline constexpr bool keeps_a_base<frozen> = true;

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
