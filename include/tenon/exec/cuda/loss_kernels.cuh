#pragma once
#include <math_constants.h>

#include "tenon/exec/cuda/device.cuh"
#include "tenon/nn/views.hpp"

/// Softmax cross-entropy over the rows of a chunk of logits.
namespace tenon::exec::cuda {

/// A maximum and a sum of exponentials relative to it; sums of parts join in a fixed order.
struct soft_sum {
  float top, sum;
};
__device__ inline soft_sum join(soft_sum a, soft_sum b) {
  float const top = fmaxf(a.top, b.top);
  // Where both are empty, exp(-inf - -inf) would be no number.
  return {top, (a.sum == 0.f ? 0.f : a.sum * expf(a.top - top)) + (b.sum == 0.f ? 0.f : b.sum * expf(b.top - top))};
}

/// log(sum(exp(row))), the same bits on every thread of the block.
__device__ inline float log_sum_of_row(float const* row, int width, float* top_room, float* sum_room) {
  soft_sum mine{-CUDART_INF_F, 0.f};
  for (int j = int(threadIdx.x); j < width; j += block) {
    float const x = row[j];
    if (x <= mine.top)
      mine.sum += expf(x - mine.top);
    else  // a NaN comes here, too, and stays
      mine.sum = (mine.sum == 0.f ? 0.f : mine.sum * expf(mine.top - x)) + 1.f, mine.top = x;
  }
  for (int d = 1; d < warp; d *= 2)
    mine = join(mine, {__shfl_xor_sync(0xffffffffu, mine.top, d), __shfl_xor_sync(0xffffffffu, mine.sum, d)});
  int const lane = int(threadIdx.x) % warp, w = int(threadIdx.x) / warp;
  if (lane == 0) top_room[w] = mine.top, sum_room[w] = mine.sum;
  __syncthreads();
  soft_sum all{top_room[0], sum_room[0]};
  for (int i = 1; i < block / warp; ++i) all = join(all, {top_room[i], sum_room[i]});
  return all.top + logf(all.sum);
}

/// One block a row. WithGradient false: only the loss.
template <dtype D, bool WithGradient>
__global__ void cross_entropy_rows(int vocab, float const* logits, std::int32_t const* targets, float seed,
                                   float const* seed_factor, value<D>* d_logits, double* row_loss) {
  auto* const shared = reinterpret_cast<float*>(room());
  std::int64_t const row = blockIdx.x;
  std::int32_t const target = targets[row];
  float const* const x = logits + row * vocab;
  if (target < 0) {  // the whole block
    if constexpr (WithGradient)
      for (int j = int(threadIdx.x); j < vocab; j += block) put(d_logits + row * vocab + j, 0.f);
    if (threadIdx.x == 0) row_loss[row] = 0;
    return;
  }
  float const at_target = x[target];
  float const total = log_sum_of_row(x, vocab, shared, shared + block / warp);
  if (threadIdx.x == 0) row_loss[row] = double(total - at_target);
  if constexpr (WithGradient) {
    float const factor = seed * *seed_factor;
    // d_logits may lie where the logits do: element j is read and written by one thread, and everybody has read
    // at_target before the barrier in log_sum_of_row.
    for (int j = int(threadIdx.x); j < vocab; j += block)
      put(d_logits + row * vocab + j, factor * (expf(x[j] - total) - (j == target ? 1.f : 0.f)));
  }
}

/// One thread a tile.
static __global__ void add_losses_of_rows(std::int64_t n, double const* row_loss, double* tiles) {
  std::int64_t const tile = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x, first = tile * nn::row_tile;
  if (first >= n) return;
  double total = 0;
  for (auto i = first; i < n && i < first + nn::row_tile; ++i) total += row_loss[i];
  tiles[tile] += total;
}

}  // namespace tenon::exec::cuda
