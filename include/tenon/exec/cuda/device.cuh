#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "tenon/exec/cuda/api.hpp"
#include "tenon/nn/dtype.hpp"
#include "tenon/recipe/dtype.hpp"

/// What the kernels are written with. A `__global__` template takes scalars and enums only: nvcc's host stub misprints
/// others. So formats come as tenon::dtype, and `value<D>` is what lies in memory.
namespace tenon::exec::cuda {

template <dtype D>
struct storage;
template <>
struct storage<dtype::fp32> {
  using type = float;
};
template <>
struct storage<dtype::bf16> {
  using type = nn::bf16;
};
template <>
struct storage<dtype::fp16> {
  using type = nn::fp16;
};
template <dtype D>
using value = typename storage<D>::type;

template <class T>
inline constexpr dtype format_of = dtype::fp32;
template <>
inline constexpr dtype format_of<nn::bf16> = dtype::bf16;
template <>
inline constexpr dtype format_of<nn::fp16> = dtype::fp16;

__device__ inline float wide(float x) { return x; }
__device__ inline float wide(nn::bf16 x) { return __bfloat162float(__ushort_as_bfloat16(x.bits)); }
__device__ inline float wide(nn::fp16 x) { return __half2float(__ushort_as_half(x.bits)); }
__device__ inline void put(float* to, float x) { *to = x; }
__device__ inline void put(nn::bf16* to, float x) { to->bits = __bfloat16_as_ushort(__float2bfloat16_rn(x)); }
__device__ inline void put(nn::fp16* to, float x) { to->bits = __half_as_ushort(__float2half_rn(x)); }

inline constexpr int warp = 32;
inline constexpr int block = 256;  ///< threads, of most kernels

/// Shared memory whose size the launch states.
__device__ inline double* room() {
  extern __shared__ double shared_room[];
  return shared_room;
}

/// Sum over a warp, the same bits on every lane.
template <class T>
__device__ T warp_sum(T x) {
  for (int d = warp / 2; d > 0; d /= 2) x += __shfl_xor_sync(0xffffffffu, x, d);
  return x;
}
/// Sum over a block, the same bits on every thread; `at` is room for one T a warp. All threads call it.
template <class T>
__device__ T block_sum(T x, T* at) {
  x = warp_sum(x);
  int const lane = int(threadIdx.x) % warp, mine = int(threadIdx.x) / warp;
  __syncthreads();  // an earlier sum may still be read
  if (lane == 0) at[mine] = x;
  __syncthreads();
  T total = 0;
  for (int w = 0; w < int(blockDim.x) / warp; ++w) total += at[w];
  return total;
}

inline unsigned blocks_for(std::int64_t items, std::int64_t each) { return unsigned((items + each - 1) / each); }

/// Starts a kernel. Nothing is launched for an empty grid.
template <class... Parameters, class... Arguments>
void launch(stream s, char const* name, dim3 grid, dim3 threads, std::size_t shared, void (*kernel)(Parameters...),
            Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  if (shared > 48 * 1024)
    check(cudaFuncSetAttribute(reinterpret_cast<void const*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared)), name);
  cudaLaunchConfig_t config{};
  config.gridDim = grid, config.blockDim = threads, config.dynamicSmemBytes = shared, config.stream = s;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), name);
}

}  // namespace tenon::exec::cuda
