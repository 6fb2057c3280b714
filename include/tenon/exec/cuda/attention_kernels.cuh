#pragma once
#include <math_constants.h>

#include "tenon/exec/cuda/device.cuh"
#include "tenon/exec/cuda/kernels.hpp"

/// Attention in tiles of 16 queries and 16 keys, in fp32 whatever the storage: no score goes to memory, and the backward
/// pass rebuilds probabilities from the log-sum-exp (Dao et al. 2022, arXiv 2205.14135). Used where the library's flash
/// kernels are not: fp32, head widths that they lack, GPUs before sm_80, and programs without LibTorch's CUDA part. Thread
/// (i, j) of a block owns score (query i, key j), and of the outputs the columns j, j + 16, ... of line i.
namespace tenon::exec::cuda {

inline constexpr int tile = 16;              ///< queries and keys of a block; tile * tile == block
inline constexpr int widest_head = 256;
inline constexpr int columns = widest_head / tile;  ///< of a thread, at most
static_assert(tile * tile == block);

/// Sum and maximum over the 16 threads of a line.
__device__ inline float line_sum(float x) {
  for (int d = tile / 2; d > 0; d /= 2) x += __shfl_xor_sync(0xffffffffu, x, d);
  return x;
}
__device__ inline float line_max(float x) {
  for (int d = tile / 2; d > 0; d /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, d));
  return x;
}

/// 16 lines of a head into shared memory, `dim + 1` floats apart; lines past the end of the sample are zero.
template <class T>
__device__ void load_tile(float* to, T const* from, std::int64_t first, std::int64_t lines, std::int64_t stride, int dim) {
  for (int e = int(threadIdx.x); e < tile * dim; e += block) {
    int const i = e / dim, d = e % dim;
    to[i * (dim + 1) + d] = first + i < lines ? wide(from[(first + i) * stride + d]) : 0.f;
  }
}
__device__ inline float dot(float const* a, float const* b, int dim) {
  float sum = 0;
  for (int d = 0; d < dim; ++d) sum += a[d] * b[d];
  return sum;
}

/// Shared floats of the kernels below.
inline std::size_t attention_room(int tiles, int scores, int dim) {
  return std::size_t(tiles * tile * (dim + 1) + scores * tile * (tile + 1)) * sizeof(float);
}

/// Grid: tiles of queries, heads, samples.
template <dtype D>
__global__ void attention_forward_tiles(attention_shape a, std::int32_t const* document_start, value<D> const* q,
                                        value<D> const* k, value<D> const* v, value<D>* out, float* lse) {
  auto* const q_tile = reinterpret_cast<float*>(room());
  float *const k_tile = q_tile + tile * (a.dim + 1), *const v_tile = k_tile + tile * (a.dim + 1),
               *const p_tile = v_tile + tile * (a.dim + 1);
  int const i = int(threadIdx.x) / tile, j = int(threadIdx.x) % tile, head = int(blockIdx.y),
            kv_head = head / (a.heads / a.kv_heads);
  std::int64_t const sample = std::int64_t{blockIdx.z} * a.sequence, first = std::int64_t{blockIdx.x} * tile,
                     row = first + i, width = std::int64_t{a.heads} * a.dim, kv_width = std::int64_t{a.kv_heads} * a.dim;
  bool const mine = row < a.sequence;
  std::int64_t const start = mine ? document_start[sample + row] : 0;
  load_tile(q_tile, q + sample * width + head * a.dim, first, a.sequence, width, a.dim);
  float mixed[columns] = {};
  float top = -CUDART_INF_F, sum = 0;
  // Documents follow one another, so the tile's first row begins earliest.
  for (std::int64_t keys = document_start[sample + first] / tile * tile; keys < first + tile && keys < a.sequence; keys += tile) {
    __syncthreads();  // the tiles may still be read
    load_tile(k_tile, k + sample * kv_width + kv_head * a.dim, keys, a.sequence, kv_width, a.dim);
    load_tile(v_tile, v + sample * kv_width + kv_head * a.dim, keys, a.sequence, kv_width, a.dim);
    __syncthreads();
    bool const seen = mine && keys + j >= start && keys + j <= row;
    float const score = seen ? dot(q_tile + i * (a.dim + 1), k_tile + j * (a.dim + 1), a.dim) * a.scale : -CUDART_INF_F;
    float const new_top = fmaxf(top, line_max(score));
    float const p = seen ? expf(score - new_top) : 0.f, old = top == -CUDART_INF_F ? 0.f : expf(top - new_top);
    sum = sum * old + line_sum(p), top = new_top;
    p_tile[i * (tile + 1) + j] = p;
    __syncthreads();
#pragma unroll
    for (int c = 0; c < columns; ++c)
      if (int const d = c * tile + j; d < a.dim) {
        float total = mixed[c] * old;
        for (int key = 0; key < tile; ++key) total += p_tile[i * (tile + 1) + key] * v_tile[key * (a.dim + 1) + d];
        mixed[c] = total;
      }
  }
  if (!mine) return;
#pragma unroll
  for (int c = 0; c < columns; ++c)
    if (int const d = c * tile + j; d < a.dim) put(out + (sample + row) * width + head * a.dim + d, mixed[c] / sum);
  if (j == 0) lse[(sample + row) * a.heads + head] = top + logf(sum);
}

/// delta = d_out . out of each row and head; one warp each.
template <dtype D>
__global__ void attention_deltas(std::int64_t n, attention_shape a, value<D> const* out, float const* d_out, float* delta) {
  int const lane = int(threadIdx.x) % warp;
  std::int64_t const at = std::int64_t{blockIdx.x} * (block / warp) + threadIdx.x / warp;
  if (at >= n * a.heads) return;  // the whole warp
  float sum = 0;
  for (int d = lane; d < a.dim; d += warp) sum += d_out[at * a.dim + d] * wide(out[at * a.dim + d]);
  sum = warp_sum(sum);
  if (lane == 0) delta[at] = sum;
}

/// What both backward kernels do with a pair of tiles: probability and gradient of score (i, j) into p_tile and s_tile.
__device__ inline void score_gradients(attention_shape const& a, bool seen, float lse, float delta, float const* q_line,
                                       float const* k_line, float const* d_line, float const* v_line, float* p, float* s) {
  float const probability = seen ? expf(dot(q_line, k_line, a.dim) * a.scale - lse) : 0.f;
  if (p != nullptr) *p = probability;
  *s = seen ? probability * (dot(d_line, v_line, a.dim) - delta) * a.scale : 0.f;
}

/// d_k and d_v. Grid: tiles of keys, key heads, samples. q is only read.
template <dtype D>
__global__ void attention_backward_keys(attention_shape a, std::int32_t const* document_start, value<D> const* q,
                                        value<D> const* k, value<D> const* v, float const* lse, float const* d_out,
                                        float const* delta, value<D>* d_k, value<D>* d_v) {
  auto* const q_tile = reinterpret_cast<float*>(room());
  int const line = a.dim + 1, group = a.heads / a.kv_heads;
  float *const d_tile = q_tile + tile * line, *const k_tile = d_tile + tile * line, *const v_tile = k_tile + tile * line,
               *const p_tile = v_tile + tile * line, *const s_tile = p_tile + tile * (tile + 1);
  int const i = int(threadIdx.x) / tile, j = int(threadIdx.x) % tile, kv_head = int(blockIdx.y);
  std::int64_t const sample = std::int64_t{blockIdx.z} * a.sequence, keys = std::int64_t{blockIdx.x} * tile,
                     width = std::int64_t{a.heads} * a.dim, kv_width = std::int64_t{a.kv_heads} * a.dim;
  load_tile(k_tile, k + sample * kv_width + kv_head * a.dim, keys, a.sequence, kv_width, a.dim);
  load_tile(v_tile, v + sample * kv_width + kv_head * a.dim, keys, a.sequence, kv_width, a.dim);
  float sum_k[columns] = {}, sum_v[columns] = {};
  for (int g = 0; g < group; ++g) {
    int const head = kv_head * group + g;
    for (std::int64_t first = keys; first < a.sequence; first += tile) {
      if (document_start[sample + first] >= keys + tile) break;  // so do all later rows' documents
      __syncthreads();
      load_tile(q_tile, q + sample * width + head * a.dim, first, a.sequence, width, a.dim);
      load_tile(d_tile, d_out + sample * width + head * a.dim, first, a.sequence, width, a.dim);
      __syncthreads();
      std::int64_t const row = first + i, at = (sample + row) * a.heads + head;
      bool const seen = row < a.sequence && keys + j <= row && keys + j >= document_start[sample + row];
      score_gradients(a, seen, seen ? lse[at] : 0.f, seen ? delta[at] : 0.f, q_tile + i * line, k_tile + j * line,
                      d_tile + i * line, v_tile + j * line, p_tile + i * (tile + 1) + j, s_tile + i * (tile + 1) + j);
      __syncthreads();
#pragma unroll
      for (int c = 0; c < columns; ++c)  // here line i is key i
        if (int const d = c * tile + j; d < a.dim)
          for (int r = 0; r < tile; ++r) {
            sum_v[c] += p_tile[r * (tile + 1) + i] * d_tile[r * line + d];
            sum_k[c] += s_tile[r * (tile + 1) + i] * q_tile[r * line + d];
          }
    }
  }
  if (keys + i >= a.sequence) return;
#pragma unroll
  for (int c = 0; c < columns; ++c)
    if (int const d = c * tile + j; d < a.dim) {
      std::int64_t const at = (sample + keys + i) * kv_width + kv_head * a.dim + d;
      put(d_k + at, sum_k[c]), put(d_v + at, sum_v[c]);
    }
}

/// d_q, in the place of q: a block reads the lines that it writes, and no other block does. Grid: tiles of queries, heads,
/// samples. After attention_backward_keys, which reads q.
template <dtype D>
__global__ void attention_backward_queries(attention_shape a, std::int32_t const* document_start, value<D>* q,
                                           value<D> const* k, value<D> const* v, float const* lse, float const* d_out,
                                           float const* delta) {
  auto* const q_tile = reinterpret_cast<float*>(room());
  int const line = a.dim + 1;
  float *const d_tile = q_tile + tile * line, *const k_tile = d_tile + tile * line, *const v_tile = k_tile + tile * line,
               *const s_tile = v_tile + tile * line;
  int const i = int(threadIdx.x) / tile, j = int(threadIdx.x) % tile, head = int(blockIdx.y),
            kv_head = head / (a.heads / a.kv_heads);
  std::int64_t const sample = std::int64_t{blockIdx.z} * a.sequence, first = std::int64_t{blockIdx.x} * tile,
                     row = first + i, width = std::int64_t{a.heads} * a.dim, kv_width = std::int64_t{a.kv_heads} * a.dim,
                     at = (sample + row) * a.heads + head;
  bool const mine = row < a.sequence;
  std::int64_t const start = mine ? document_start[sample + row] : 0;
  float const own_lse = mine ? lse[at] : 0.f, own_delta = mine ? delta[at] : 0.f;
  load_tile(q_tile, q + sample * width + head * a.dim, first, a.sequence, width, a.dim);
  load_tile(d_tile, d_out + sample * width + head * a.dim, first, a.sequence, width, a.dim);
  float sum[columns] = {};
  for (std::int64_t keys = document_start[sample + first] / tile * tile; keys < first + tile && keys < a.sequence; keys += tile) {
    __syncthreads();
    load_tile(k_tile, k + sample * kv_width + kv_head * a.dim, keys, a.sequence, kv_width, a.dim);
    load_tile(v_tile, v + sample * kv_width + kv_head * a.dim, keys, a.sequence, kv_width, a.dim);
    __syncthreads();
    score_gradients(a, mine && keys + j >= start && keys + j <= row, own_lse, own_delta, q_tile + i * line,
                    k_tile + j * line, d_tile + i * line, v_tile + j * line, nullptr, s_tile + i * (tile + 1) + j);
    __syncthreads();
#pragma unroll
    for (int c = 0; c < columns; ++c)
      if (int const d = c * tile + j; d < a.dim)
        for (int key = 0; key < tile; ++key) sum[c] += s_tile[i * (tile + 1) + key] * k_tile[key * line + d];
  }
  if (!mine) return;
#pragma unroll
  for (int c = 0; c < columns; ++c)
    if (int const d = c * tile + j; d < a.dim) put(q + (sample + row) * width + head * a.dim + d, sum[c]);
}

}  // namespace tenon::exec::cuda
