#pragma once
#include <cstdint>

#include "tenon/exec/cuda/api.hpp"
#include "tenon/exec/cuda/step_numbers.hpp"

/// The kernels as the executor sees them: plain functions over pointers into the device's memory, which put work into a
/// stream and return. Widths are run-time numbers, so one unit of nvcc (kernels.cuh, instantiated for float, nn::bf16
/// and nn::fp16) serves every model, and whoever calls them needs no nvcc. `n` is rows; all matrices are row-major and
/// dense. Every sum has one order, so results are the same bits each time.
namespace tenon::exec::cuda {

/// out = T(in), `n` elements.
template <class T>
void convert(stream, std::int64_t n, float const* in, T* out);

/// out = w * in / sqrt(mean(in^2) + epsilon). inverse_rms: one a row; null: not kept.
template <class T>
void rmsnorm(stream, std::int64_t n, int width, float const* in, T const* w, T* out, float* inverse_rms, float epsilon);
/// d_stream += the norm's input gradient; d_weight [tiles of 16 rows][width] = the weight's gradient over each tile.
template <class T>
void rmsnorm_backward(stream, std::int64_t n, int width, float const* in, T const* w, float const* inverse_rms,
                      float const* d_out, float* d_stream, float* d_weight);
/// out = beta * out + sum of the tiles; out is not read where beta is 0.
void add_tiles(stream, std::int64_t tiles, int width, float const* partial, float beta, float* out);

/// out = silu(gate) * up, `n` elements.
template <class T>
void swiglu(stream, std::int64_t n, T const* gate, T const* up, T* out);
/// Replaces gate and up by their gradients.
template <class T>
void swiglu_backward(stream, std::int64_t n, float const* d_out, T* gate, T* up);

/// Rotates each head of each row in place, pairs (j, j + head_dim / 2); sign -1 rotates back.
template <class T>
void rotary(stream, std::int64_t n, int width, int head_dim, std::int32_t const* positions, float const* cosine,
            float const* sine, float sign, T* x);

/// out = rows of the table, widened.
template <class T>
void embedding(stream, std::int64_t n, int width, std::int32_t const* tokens, T const* table, float* out);
/// table gradient += rows of d. `order`: row numbers sorted by token, equal tokens in the order of the batch.
void embedding_backward(stream, std::int64_t n, int width, std::int32_t const* tokens, std::int32_t const* order,
                        float const* d, float* gradient);

/// row_loss[i] = -log p(target), 0 where there is none.
void cross_entropy(stream, std::int64_t n, int vocab, float const* logits, std::int32_t const* targets,
                   double* row_loss);
/// The same, and d_logits = seed * *seed_factor * (softmax - one hot), 0 in rows without a target. d_logits may be logits.
template <class T>
void cross_entropy_gradient(stream, std::int64_t n, int vocab, float const* logits, std::int32_t const* targets,
                            float seed, float const* seed_factor, T* d_logits, double* row_loss);
/// tiles[t] += row_loss of 16 rows, in their order.
void add_row_losses(stream, std::int64_t n, double const* row_loss, double* tiles);

/// The shape of one attention.
struct attention_shape {
  std::int64_t samples, sequence;
  int heads, kv_heads, dim;  ///< dim: at most 256
  float scale;
};
/// Causal attention inside each document. lse: [row][head].
template <class T>
void attention(stream, attention_shape const&, std::int32_t const* document_start, T const* q, T const* k, T const* v,
               T* out, float* lse);
/// Replaces q, k and v by their gradients. `delta`: room for [row][head] floats; d_k, d_v: room for what k and v hold.
template <class T>
void attention_backward(stream, attention_shape const&, std::int32_t const* document_start, T* q, T* k, T* v,
                        T const* out, float const* lse, float const* d_out, float* delta, T* d_k, T* d_v);

/// Before a step's passes: seed = scale / count.
void begin_step(stream, step_numbers*);
/// squares[c] = sum of squares of chunk c of the gradient, where the map counts it.
void sum_squares(stream, std::int64_t size, std::uint8_t const* map, float const* gradient, double* squares);
/// Norm, overflow, clipping, loss scale, and what the update needs; loss of the step from its tiles.
void decide(stream, step_rules const&, std::int64_t chunks, double const* squares, std::int64_t tiles,
            double const* losses, step_numbers*);
/// One pass over the flat buffers: unscale, clip, decay, moments, step, compute copy. Nothing where the step is skipped.
/// Moments are kept as M, float or nn::bf16, rounded to nearest even after the weight has moved.
template <class T, class M>
void update(stream, step_rules const&, std::int64_t size, std::uint8_t const* map, step_numbers const*,
            float const* gradient, float* master, M* first, M* second, T* copy);
/// copy = T(master); for loading and initialising.
template <class T>
void refresh(stream, std::int64_t size, float const* master, T* copy);

}  // namespace tenon::exec::cuda
