#pragma once
/// A run on a GPU (target::h200, a100_80, ...): include it beside <tenon/tenon.hpp> and link tenon::cuda, which brings the
/// kernels, the CUDA runtime and cuBLASLt. With ranks, <tenon/parallel.hpp> and tenon::nccl, too. ./tenon train and
/// tenon_add_trainer(... CUDA) do all of it.
#include "tenon/app/run.hpp"
#include "tenon/train/device_engine.hpp"
#include "tenon/train/device_step.hpp"
#if defined(TENON_CUDA_FLASH)  // set by the build where LibTorch has its CUDA part with all that it stands on
#include "tenon/exec/cuda/flash_attention.hpp"
#endif

namespace tenon::train {

#if defined(TENON_CUDA_FLASH)
using device_attention = exec::cuda::library_attention;
#else
using device_attention = exec::cuda::own_attention;
#endif

/// deepseek_llm on a GPU. The other models' layers have no kernels there yet; their launch is refused.
template <>
struct engine_on<model::deepseek_llm, device_kind::cuda> {
  template <auto const& R>
  using type = device_engine<models::of_recipe<R>, models::compute_of<R>, std::remove_cvref_t<decltype(R.optimizer)>, device_attention,
                             models::storage<dtypes_of(R).moment>>;
  template <auto const& R, class Recipe>
  static type<R> make(Recipe const& r, std::int64_t num_rows, int) {
    auto rules = device_rules(r.optimizer);
    rules.tf32 = dtypes_of(R).tf32;
    if constexpr (std::is_same_v<resolved_precision_t<decltype(R)>, precision::fp16>) {
      rules.scales = true;
      rules.growth = r.precision.growth, rules.backoff = r.precision.backoff, rules.growth_interval = r.precision.growth_interval;
    }
    auto const sequence = r.batch.sequence.count, micro = num_rows / sequence;
    auto const samples = r.batch.global.count / parallel::replicas_of(r.parallel).ranks;
    return {device_of_process(), micro, sequence, samples / micro, models::rotation_of(r.model), rules};
  }
  static constexpr bool is_device = true;
  static int index() { return device_of_process(); }
  static int present() { return exec::cuda::device_count(); }
  /// The device that this process would use.
  static exec::cuda::device_facts facts() { return exec::cuda::facts_of_device(device_of_process()); }
};

}  // namespace tenon::train

#define TENON_CUDA_INCLUDED 1
#if defined(TENON_PARALLEL_INCLUDED) && defined(TENON_CUDA_NCCL)  // set by the component nccl
#include "tenon/parallel/gpu_ranks.hpp"
#endif
