#pragma once
#include <cstddef>
#include <cstdint>

/// What host and device tell each other about a step. Nothing of it selects code.
namespace tenon::exec::cuda {

/// What becomes of 16 neighbouring parameters: bits of a map with one byte for each 16.
enum granule : std::uint8_t { trained = 1, decayed = 2, counted = 4 };  // counted: in the gradient's norm
inline constexpr std::int64_t granule_size = 16;
constexpr std::int64_t num_granules(std::int64_t size) { return (size + granule_size - 1) / granule_size; }

inline constexpr std::int64_t norm_chunk = 1 << 14;  ///< elements whose squares one block adds up
constexpr std::int64_t num_norm_chunks(std::int64_t size) { return (size + norm_chunk - 1) / norm_chunk; }

/// What cuBLASLt may use inside a product: 32 MiB serve Hopper's kernels (its documentation of the workspace), and are
/// plenty for others.
inline constexpr std::int64_t gemm_workspace = std::int64_t{32} << 20;

enum class update_rule { adamw, sgd };

/// What does not change while a run is going: it may be part of a captured graph.
struct step_rules {
  update_rule rule = update_rule::adamw;
  bool scales = false;  ///< fp16: the loss scale moves
  bool tf32 = false;    ///< products round fp32 operands to TF32
  double beta1 = 0, beta2 = 0, epsilon = 0, momentum = 0, nesterov = 0, weight_decay = 0, clip = 0;
  double growth = 2, backoff = 0.5;
  std::int64_t growth_interval = 0;
};

/// Lives on the device; copies of it travel.
struct step_numbers {
  // From the host, before each step. This part is copied alone.
  double rate = 0;
  std::int64_t count = 0;  ///< rows with a target in the step, over all ranks
  std::int64_t number = 0;  ///< of the step, since the device's engine was made
  // State, moved by `decide`; the host has a copy, which checkpoints save.
  double scale = 1;
  std::int64_t good_steps = 0, skipped = 0, updates = 0;
  // Of this step.
  double loss = 0;  ///< sum of -log p
  double norm = 0;  ///< of the unscaled gradient, before clipping
  double used_scale = 1;
  std::int64_t applied = 0;  ///< 0: the gradient was not finite and nothing moved
  float seed = 0;            ///< scale / count
  // For `update`: as optim::engine<...>::constants.
  float factor = 0, decay = 1, step = 0, bias2 = 0;
};
inline constexpr std::int64_t host_part = 24;  ///< bytes of step_numbers that the host writes before each step
static_assert(offsetof(step_numbers, scale) == host_part);

}  // namespace tenon::exec::cuda
