#pragma once
#include "tenon/exec/cuda/attention_kernels.cuh"
#include "tenon/exec/cuda/loss_kernels.cuh"
#include "tenon/exec/cuda/row_kernels.cuh"
#include "tenon/exec/cuda/update_kernels.cuh"

/// The functions of kernels.hpp: how many blocks and threads each kernel gets. Included by one unit of a program.
namespace tenon::exec::cuda {

namespace detail {
inline constexpr std::int64_t most_blocks = 1 << 16;  ///< of kernels that stride over elements
inline unsigned element_blocks(std::int64_t n) { return blocks_for(n, block) < most_blocks ? blocks_for(n, block) : unsigned(most_blocks); }
}  // namespace detail

template <class T>
void convert(stream s, std::int64_t n, float const* in, T* out) {
  launch(s, "conversion", detail::element_blocks(n), block, 0, convert_elements<format_of<T>>, n, in, out);
}
template <class T>
void refresh(stream s, std::int64_t size, float const* master, T* copy) {
  convert(s, size, master, copy);
}

template <class T>
void rmsnorm(stream s, std::int64_t n, int width, float const* in, T const* w, T* out, float* inverse_rms, float epsilon) {
  launch(s, "rmsnorm", blocks_for(n, block / warp), block, 0, rmsnorm_rows<format_of<T>>, n, width, in, w, out, inverse_rms, epsilon);
}
template <class T>
void rmsnorm_backward(stream s, std::int64_t n, int width, float const* in, T const* w, float const* inverse_rms,
                      float const* d_out, float* d_stream, float* d_weight) {
  launch(s, "rmsnorm backward", blocks_for(n, nn::row_tile), block, 2 * nn::row_tile * sizeof(float),
         rmsnorm_tiles_backward<format_of<T>>, n, width, in, w, inverse_rms, d_out, d_stream, d_weight);
}
void add_tiles(stream s, std::int64_t tiles, int width, float const* partial, float beta, float* out) {
  launch(s, "sum of tiles", blocks_for(width, warp), block, block * sizeof(float), add_tile_columns, tiles, width, partial, beta, out);
}

template <class T>
void swiglu(stream s, std::int64_t n, T const* gate, T const* up, T* out) {
  launch(s, "swiglu", detail::element_blocks(n), block, 0, swiglu_elements<format_of<T>>, n, gate, up, out);
}
template <class T>
void swiglu_backward(stream s, std::int64_t n, float const* d_out, T* gate, T* up) {
  launch(s, "swiglu backward", detail::element_blocks(n), block, 0, swiglu_elements_backward<format_of<T>>, n, d_out, gate, up);
}

template <class T>
void rotary(stream s, std::int64_t n, int width, int head_dim, std::int32_t const* positions, float const* cosine,
            float const* sine, float sign, T* x) {
  launch(s, "rotation", detail::element_blocks(n * width / 2), block, 0, rotate_pairs<format_of<T>>, n, width, head_dim,
         positions, cosine, sine, sign, x);
}

template <class T>
void embedding(stream s, std::int64_t n, int width, std::int32_t const* tokens, T const* table, float* out) {
  launch(s, "embedding", detail::element_blocks(n * width), block, 0, embed_elements<format_of<T>>, n, width, tokens, table, out);
}
void embedding_backward(stream s, std::int64_t n, int width, std::int32_t const* tokens, std::int32_t const* order,
                               float const* d, float* gradient) {
  launch(s, "embedding backward", unsigned(n), block, 0, add_embedding_rows, n, width, tokens, order, d, gradient);
}

void cross_entropy(stream s, std::int64_t n, int vocab, float const* logits, std::int32_t const* targets, double* row_loss) {
  launch(s, "cross entropy", unsigned(n), block, 2 * (block / warp) * sizeof(float), cross_entropy_rows<dtype::fp32, false>,
         vocab, logits, targets, 0.f, nullptr, nullptr, row_loss);
}
template <class T>
void cross_entropy_gradient(stream s, std::int64_t n, int vocab, float const* logits, std::int32_t const* targets,
                            float seed, float const* seed_factor, T* d_logits, double* row_loss) {
  launch(s, "cross entropy gradient", unsigned(n), block, 2 * (block / warp) * sizeof(float),
         cross_entropy_rows<format_of<T>, true>, vocab, logits, targets, seed, seed_factor, d_logits, row_loss);
}
void add_row_losses(stream s, std::int64_t n, double const* row_loss, double* tiles) {
  launch(s, "sum of losses", blocks_for(nn::num_row_tiles(n), block), block, 0, add_losses_of_rows, n, row_loss, tiles);
}

template <class T>
void attention(stream s, attention_shape const& a, std::int32_t const* document_start, T const* q, T const* k, T const* v,
               T* out, float* lse) {
  dim3 const grid(blocks_for(a.sequence, tile), unsigned(a.heads), unsigned(a.samples));
  launch(s, "attention", grid, block, attention_room(3, 1, a.dim), attention_forward_tiles<format_of<T>>, a, document_start,
         q, k, v, out, lse);
}
template <class T>
void attention_backward(stream s, attention_shape const& a, std::int32_t const* document_start, T* q, T* k, T* v,
                        T const* out, float const* lse, float const* d_out, float* delta, T* d_k, T* d_v) {
  constexpr dtype D = format_of<T>;
  std::int64_t const n = a.samples * a.sequence;
  unsigned const tiles = blocks_for(a.sequence, tile);
  launch(s, "attention's deltas", blocks_for(n * a.heads, block / warp), block, 0, attention_deltas<D>, n, a, out, d_out, delta);
  launch(s, "attention backward (keys)", dim3(tiles, unsigned(a.kv_heads), unsigned(a.samples)), block,
         attention_room(4, 2, a.dim), attention_backward_keys<D>, a, document_start, q, k, v, lse, d_out, delta, d_k, d_v);
  launch(s, "attention backward (queries)", dim3(tiles, unsigned(a.heads), unsigned(a.samples)), block,
         attention_room(4, 1, a.dim), attention_backward_queries<D>, a, document_start, q, k, v, lse, d_out, delta);
  std::int64_t const bytes = n * a.kv_heads * a.dim * std::int64_t(sizeof(T));
  copy_on_device(s, k, d_k, bytes), copy_on_device(s, v, d_v, bytes);
}

void begin_step(stream s, step_numbers* numbers) { launch(s, "beginning of a step", 1, 1, 0, begin_numbers, numbers); }
void sum_squares(stream s, std::int64_t size, std::uint8_t const* map, float const* gradient, double* squares) {
  launch(s, "norm", blocks_for(size, norm_chunk), block, (block / warp) * sizeof(double), sum_chunk_squares, size, map, gradient, squares);
}
void decide(stream s, step_rules const& r, std::int64_t chunks, double const* squares, std::int64_t tiles,
                   double const* losses, step_numbers* numbers) {
  launch(s, "decision of a step", 1, block, (block / warp) * sizeof(double), decide_step, r, chunks, squares, tiles, losses, numbers);
}
template <class T, class M>
void update(stream s, step_rules const& r, std::int64_t size, std::uint8_t const* map, step_numbers const* numbers,
            float const* gradient, float* master, M* first, M* second, T* copy) {
  auto const with = [&](auto* kernel) {
    launch(s, "update", detail::element_blocks(size), block, 0, kernel, r, size, map, numbers, gradient, master, first, second, copy);
  };
  if (r.rule == update_rule::adamw)
    with(&update_elements<update_rule::adamw, format_of<T>, format_of<M>>);
  else
    with(&update_elements<update_rule::sgd, format_of<T>, format_of<M>>);
}

/// Everything above for the three formats.
#define TENON_CUDA_KERNELS(T)                                                                                             \
  template void convert<T>(stream, std::int64_t, float const*, T*);                                                       \
  template void refresh<T>(stream, std::int64_t, float const*, T*);                                                       \
  template void rmsnorm<T>(stream, std::int64_t, int, float const*, T const*, T*, float*, float);                         \
  template void rmsnorm_backward<T>(stream, std::int64_t, int, float const*, T const*, float const*, float const*, float*, float*); \
  template void swiglu<T>(stream, std::int64_t, T const*, T const*, T*);                                                  \
  template void swiglu_backward<T>(stream, std::int64_t, float const*, T*, T*);                                           \
  template void rotary<T>(stream, std::int64_t, int, int, std::int32_t const*, float const*, float const*, float, T*);    \
  template void embedding<T>(stream, std::int64_t, int, std::int32_t const*, T const*, float*);                           \
  template void cross_entropy_gradient<T>(stream, std::int64_t, int, float const*, std::int32_t const*, float, float const*, T*, double*); \
  template void attention<T>(stream, attention_shape const&, std::int32_t const*, T const*, T const*, T const*, T*, float*); \
  template void attention_backward<T>(stream, attention_shape const&, std::int32_t const*, T*, T*, T*, T const*, float const*, float const*, float*, T*, T*); \
  template void update<T>(stream, step_rules const&, std::int64_t, std::uint8_t const*, step_numbers const*, float const*, float*, float*, float*, T*); \
  template void update<T>(stream, step_rules const&, std::int64_t, std::uint8_t const*, step_numbers const*, float const*, float*, nn::bf16*, nn::bf16*, T*)

}  // namespace tenon::exec::cuda
