// A model's engines for a real GPU, so that they are compiled and linked where no GPU is to run the tests on.
#include "cuda/rig.hpp"
#if defined(TENON_CUDA_NCCL)
#include "tenon/parallel/gpu_exchange.hpp"

template class tenon::parallel::gpu_exchange<rigs::untied>;
template void tenon::exec::cuda::device<rigs::untied, tenon::nn::bf16, 2>::step(tenon::nn::micro_batch const&, double, std::int64_t,
                                                                              tenon::parallel::gpu_exchange<rigs::untied>&, int);
#endif

template class tenon::exec::cuda::device<rigs::untied, tenon::nn::bf16, 2>;
template class tenon::exec::cuda::device<rigs::untied, float, 1, tenon::exec::cuda::own_attention, tenon::nn::bf16>;
