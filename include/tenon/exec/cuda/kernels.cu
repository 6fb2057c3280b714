// The one unit of a program that nvcc compiles: the kernels for the three formats. tenon::cuda builds it.
#include "tenon/exec/cuda/kernels.cuh"

namespace tenon::exec::cuda {
TENON_CUDA_KERNELS(float);
TENON_CUDA_KERNELS(nn::bf16);
TENON_CUDA_KERNELS(nn::fp16);
}  // namespace tenon::exec::cuda
