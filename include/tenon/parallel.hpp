#pragma once
/// A run on several ranks (parallel::ddp, parallel::mesh): include it beside <tenon/tenon.hpp>. It brings LibTorch's c10d.
#include "tenon/app/ranks.hpp"
#include "tenon/parallel/group.hpp"
#include "tenon/parallel/ranks.hpp"

#define TENON_PARALLEL_INCLUDED 1
#if defined(TENON_CUDA_INCLUDED) && defined(TENON_CUDA_NCCL)
#include "tenon/parallel/gpu_ranks.hpp"
#endif
