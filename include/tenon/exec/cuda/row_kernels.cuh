#pragma once
#include "tenon/exec/cuda/device.cuh"
#include "tenon/nn/views.hpp"

/// Kernels over rows and elements: norms, gate, rotation, embedding, conversions.
namespace tenon::exec::cuda {

/// The element that this thread begins with, and the distance to its next.
__device__ inline std::int64_t first_element() { return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline std::int64_t element_stride() { return std::int64_t{gridDim.x} * blockDim.x; }

template <dtype D>
__global__ void convert_elements(std::int64_t n, float const* in, value<D>* out) {
  for (auto i = first_element(); i < n; i += element_stride()) put(out + i, in[i]);
}

/// One warp a row.
template <dtype D>
__global__ void rmsnorm_rows(std::int64_t n, int width, float const* in, value<D> const* w, value<D>* out,
                             float* inverse_rms, float epsilon) {
  int const lane = int(threadIdx.x) % warp;
  std::int64_t const row = std::int64_t{blockIdx.x} * (block / warp) + threadIdx.x / warp;
  if (row >= n) return;  // the whole warp, and no barrier of the block follows
  float const* const x = in + row * width;
  float squares = 0;
  for (int j = lane; j < width; j += warp) squares += x[j] * x[j];
  float const inverse = 1.f / sqrtf(warp_sum(squares) / float(width) + epsilon);
  for (int j = lane; j < width; j += warp) put(out + row * width + j, x[j] * inverse * wide(w[j]));
  if (lane == 0 && inverse_rms != nullptr) inverse_rms[row] = inverse;
}

/// One block a tile of rows: first each row's projection, a warp at a time; then columns, a thread at a time.
template <dtype D>
__global__ void rmsnorm_tiles_backward(std::int64_t n, int width, float const* in, value<D> const* w,
                                       float const* inverse_rms, float const* d_out, float* d_stream,
                                       float* d_weight) {
  auto* const inverse = reinterpret_cast<float*>(room());
  float* const back = inverse + nn::row_tile;
  int const lane = int(threadIdx.x) % warp;
  std::int64_t const first = std::int64_t{blockIdx.x} * nn::row_tile;
  int const rows = int(n - first < nn::row_tile ? n - first : nn::row_tile);
  for (int r = int(threadIdx.x) / warp; r < rows; r += block / warp) {
    std::int64_t const at = (first + r) * width;
    float sum = 0;
    for (int j = lane; j < width; j += warp) sum += d_out[at + j] * wide(w[j]) * in[at + j];
    sum = warp_sum(sum);
    float const s = inverse_rms[first + r];
    if (lane == 0) inverse[r] = s, back[r] = sum * s * s * s / float(width);
  }
  __syncthreads();
  for (int j = int(threadIdx.x); j < width; j += block) {
    float const weight = wide(w[j]);
    float total = 0;
    for (int r = 0; r < rows; ++r) {
      std::int64_t const at = (first + r) * width + j;
      float const x = in[at], d = d_out[at];
      d_stream[at] += d * weight * inverse[r] - x * back[r];
      total += d * x * inverse[r];
    }
    d_weight[std::int64_t{blockIdx.x} * width + j] = total;
  }
}

/// 32 columns a block; 8 threads a column take every eighth tile, and their sums are added in order.
static __global__ void add_tile_columns(std::int64_t tiles, int width, float const* partial, float beta, float* out) {
  auto* const sums = reinterpret_cast<float*>(room());
  int const column = int(threadIdx.x) % warp, part = int(threadIdx.x) / warp, parts = block / warp;
  int const j = int(blockIdx.x) * warp + column;
  float total = 0;
  if (j < width)
    for (std::int64_t t = part; t < tiles; t += parts) total += partial[t * width + j];
  sums[part * warp + column] = total;
  __syncthreads();
  if (part != 0 || j >= width) return;
  for (int p = 1; p < parts; ++p) total += sums[p * warp + column];
  out[j] = beta == 0.f ? total : beta * out[j] + total;
}

template <dtype D>
__global__ void swiglu_elements(std::int64_t n, value<D> const* gate, value<D> const* up, value<D>* out) {
  for (auto i = first_element(); i < n; i += element_stride()) {
    float const z = wide(gate[i]);
    put(out + i, z / (1.f + expf(-z)) * wide(up[i]));
  }
}

template <dtype D>
__global__ void swiglu_elements_backward(std::int64_t n, float const* d_out, value<D>* gate, value<D>* up) {
  for (auto i = first_element(); i < n; i += element_stride()) {
    float const z = wide(gate[i]), u = wide(up[i]), d = d_out[i], s = 1.f / (1.f + expf(-z)), silu = z * s;
    put(gate + i, d * u * (s + silu * (1.f - s)));
    put(up + i, d * silu);
  }
}

/// One thread a pair.
template <dtype D>
__global__ void rotate_pairs(std::int64_t n, int width, int head_dim, std::int32_t const* positions,
                             float const* cosine, float const* sine, float sign, value<D>* x) {
  int const half = head_dim / 2, pairs = width / 2;
  for (auto i = first_element(); i < n * pairs; i += element_stride()) {
    std::int64_t const row = i / pairs;
    int const in_row = int(i % pairs), head = in_row / half, j = in_row % half;
    std::int64_t const turn = std::int64_t{positions[row]} * half + j;
    float const c = cosine[turn], s = sine[turn] * sign;
    value<D>* const a = x + row * width + head * head_dim + j;
    float const p = wide(a[0]), q = wide(a[half]);
    put(a, p * c - q * s);
    put(a + half, q * c + p * s);
  }
}

template <dtype D>
__global__ void embed_elements(std::int64_t n, int width, std::int32_t const* tokens, value<D> const* table,
                               float* out) {
  for (auto i = first_element(); i < n * width; i += element_stride())
    out[i] = wide(table[std::int64_t{tokens[i / width]} * width + i % width]);
}

/// One block a run of equal tokens in the sorted order: the block of its first row adds the run up, the others leave.
static __global__ void add_embedding_rows(std::int64_t n, int width, std::int32_t const* tokens,
                                          std::int32_t const* order, float const* d, float* gradient) {
  std::int64_t const begin = blockIdx.x;
  std::int32_t const token = tokens[order[begin]];
  if (begin > 0 && tokens[order[begin - 1]] == token) return;
  std::int64_t end = begin + 1;
  while (end < n && tokens[order[end]] == token) ++end;
  for (int j = int(threadIdx.x); j < width; j += int(blockDim.x)) {
    float total = gradient[std::int64_t{token} * width + j];
    for (auto i = begin; i < end; ++i) total += d[std::int64_t{order[i]} * width + j];
    gradient[std::int64_t{token} * width + j] = total;
  }
}

}  // namespace tenon::exec::cuda
