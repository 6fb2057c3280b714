#pragma once
#include <algorithm>
#include <cstdint>

#include "tenon/exec/cuda/step_numbers.hpp"
#include "tenon/nn/layout.hpp"

/// Memory of the device beside parameters and activations: counted here for the plan, taken here by the engine, so that
/// the two cannot drift. No CUDA header.
namespace tenon::exec::cuda {

/// What a micro-batch brings beside nn::micro_batch, made on the host when the batch is sent.
struct micro_batch_extra {
  std::int32_t const* order = nullptr;   ///< rows sorted by token (embedding_backward)
  std::int32_t const* begins = nullptr;  ///< [documents + 1] first rows of the documents, the number of rows behind them
  int documents = 0;                     ///< 0: not known
  int longest = 0;                       ///< rows of the longest document, or a bound
};

/// Room of the backward pass of attention.
template <class Compute>
struct attention_workspace_places {
  float* delta = nullptr;    ///< [row][head]
  Compute* d_q = nullptr;    ///< [row][hidden]: the gradient of the output in the compute format
  Compute *d_k = nullptr, *d_v = nullptr;  ///< [row][kv_width]
};
template <class Compute>
struct workspace_places {
  attention_workspace_places<Compute> attention;
  double* row_loss = nullptr;  ///< one for each row of a chunk of logits
};

/// The int32 arrays of a micro-batch: tokens, targets, positions, document_start, order, begins.
inline constexpr int batch_arrays = 6;
constexpr std::int64_t batch_array_bytes(std::int64_t rows) { return nn::align_up((rows + 1) * 4, 256); }

/// One walk over all places of the workspace: `take(bytes)` returns the next place, or only counts. `micro_rows`: rows of
/// a micro-batch; `micro_batches`: of a step; `size`: elements of the flat buffers.
template <class Model, class Compute, class Take>
constexpr void for_each_place(std::int64_t micro_rows, std::int64_t micro_batches, std::int64_t size, Take&& take) {
  using attention = typename Model::block_layer::attention_layer;
  constexpr std::int64_t hidden = attention::width, kv = attention::kv_width, heads = hidden / attention::head_dim;
  take(0, micro_rows * heads * 4);                                               // delta
  take(1, micro_rows * hidden * std::int64_t(sizeof(Compute)));                  // d_q
  take(2, micro_rows * kv * std::int64_t(sizeof(Compute)));                      // d_k
  take(3, micro_rows * kv * std::int64_t(sizeof(Compute)));                      // d_v
  take(4, std::min<std::int64_t>(Model::head_layer::chunk, micro_rows + 15) * 8);  // row_loss
  take(5, gemm_workspace);
  take(6, num_norm_chunks(size) * 8);                                            // squares
  take(7, num_granules(size));                                                   // map
  take(8, std::int64_t(sizeof(step_numbers)));
  take(9, micro_batches * batch_arrays * batch_array_bytes(micro_rows));
  take(10, std::int64_t{Model::positions} * (Model::head_dim / 2) * 4);          // rotary_cos
  take(11, std::int64_t{Model::positions} * (Model::head_dim / 2) * 4);          // rotary_sin
}
inline constexpr std::int64_t place_alignment = 256;

/// Bytes of the device for a model's workspace.
template <class Model, class Compute>
constexpr std::int64_t workspace_bytes(std::int64_t micro_rows, std::int64_t micro_batches, std::int64_t size) {
  std::int64_t total = 0;
  for_each_place<Model, Compute>(micro_rows, micro_batches, size,
                                 [&](int, std::int64_t bytes) { total += nn::align_up(bytes, place_alignment); });
  return total;
}

}  // namespace tenon::exec::cuda
