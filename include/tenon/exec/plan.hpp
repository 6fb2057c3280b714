#pragma once
#include <cstdint>
#include <type_traits>

#include "tenon/exec/activations.hpp"
#include "tenon/exec/count/executor.hpp"
#include "tenon/exec/store.hpp"
#include "tenon/models/of_recipe.hpp"
#include "tenon/recipe.hpp"

namespace tenon {

/// What a run needs, known before it starts. Bytes of each buffer and floating-point operations come from the types and
/// from the model's own forward and backward pass run on paper (exec::count). Torch-free.
struct run_plan {
  std::int64_t parameters = 0;  ///< trained scalars
  std::int64_t master_bytes = 0, gradient_bytes = 0, moment_bytes = 0;
  std::int64_t copy_bytes = 0;        ///< weights in the compute dtype, where that is not the master's
  std::int64_t activation_bytes = 0;  ///< saved, scratch, logits, private workspace, rotary tables
  std::int64_t tokens_per_step = 0;
  std::int64_t micro_batches = 0;  ///< of a step
  std::int64_t step_flops = 0;     ///< of a step: GEMMs and attention, forward and backward, recomputation included
  std::int64_t forward_flops_per_token = 0;
  std::int64_t checkpoint_bytes = 0;  ///< one checkpoint on disk: weights and moments
  std::int64_t memory = 0;            ///< of the target
  bool fits = false;                  ///< total() is at most 90 % of it

  constexpr std::int64_t total() const {
    return master_bytes + gradient_bytes + moment_bytes + copy_bytes + activation_bytes;
  }
};

/// The plan of a recipe whose model is made of static layers, for a team of `members`.
template <auto const& R>
constexpr run_plan make_plan(int members = 1) {
  static_assert(models::has_static_layers<std::remove_cvref_t<decltype(R.model)>>,
                "[tenon.plan_static_layers] the model runs under LibTorch's autograd, whose memory is found out by "
                "running it, not planned. "
                "Use a model of static layers such as model::deepseek_llm, or leave plan<> out");
  using model = models::of_recipe<R>;
  using compute = models::compute_of<R>;
  using layout = exec::flat_layout<model>;
  constexpr std::int64_t samples = R.batch.micro.count, sequence = R.batch.sequence.count;
  constexpr auto counted = exec::count::forward_backward<model, compute>(samples, sequence);
  constexpr auto forward = exec::count::evaluate<model, compute>(samples, sequence);
  static_assert(counted.workspace <= exec::activations<model, compute>::workspace_floats(sequence),
                "[tenon.plan] a layer asks for more private workspace than the executor has");
  static_assert(counted.shared <= exec::activations<model, compute>::shared_floats(samples * sequence),
                "[tenon.plan] a layer asks for more shared workspace than the executor has");
  run_plan p;
  p.parameters = layout::parameters;
  p.master_bytes = p.gradient_bytes = layout::total * 4;
  p.moment_bytes = layout::total * 4 * std::remove_cvref_t<decltype(R.optimizer)>::moments;
  p.copy_bytes = std::is_same_v<compute, float> ? 0 : layout::total * std::int64_t(sizeof(compute));
  p.activation_bytes = exec::activations<model, compute>::bytes(samples * sequence, members, sequence);
  p.tokens_per_step = tokens_per_step(R.batch).count;
  p.micro_batches = R.batch.accumulation();
  p.step_flops = (counted.gemm_flops + counted.attention_flops) * p.micro_batches;
  p.forward_flops_per_token = (forward.gemm_flops + forward.attention_flops) / (samples * sequence);
  p.checkpoint_bytes = p.parameters * 4 * (1 + std::remove_cvref_t<decltype(R.optimizer)>::moments);
  p.memory = R.target.facts().memory.count;
  p.fits = p.total() <= p.memory / 10 * 9;
  return p;
}

/// static_assert(tenon::plan<pro>.fits);
template <auto const& R>
requires legal<R>
inline constexpr run_plan plan = make_plan<R>();

}  // namespace tenon
