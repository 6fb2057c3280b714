#pragma once
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "tenon/exec/activations.hpp"
#include "tenon/exec/count/executor.hpp"
#include "tenon/exec/cuda/arena.hpp"
#include "tenon/exec/split_store.hpp"
#include "tenon/models/of_recipe.hpp"
#include "tenon/recipe.hpp"

namespace tenon {

/// The numbers that a plan depends on and that select no code: one compiled plan answers for all of them.
struct plan_numbers {
  std::int64_t micro = 1, sequence = 1;  ///< samples of a micro-batch, tokens of a sample
  std::int64_t global = 1;               ///< samples of a step, over all ranks; a multiple of micro * ranks
  std::int64_t steps = 0;                ///< of the run; 0: not known before the data is read
  int ranks = 1;                         ///< replicas that share a step's samples
  int members = 1;                       ///< of the team of threads of a rank (GPU: 1)
};

/// The numbers that a recipe states.
template <class Recipe>
constexpr plan_numbers numbers_of(Recipe const& r, int members = 1) {
  plan_numbers n{.micro = r.batch.micro.count, .sequence = r.batch.sequence.count, .global = r.batch.global.count};
  n.steps = total_steps(r.horizon, r.batch).count;
  n.members = members;
  n.ranks = parallel::replicas_of(r.parallel).ranks;
  return n;
}

/// What a run needs, known before it starts. Bytes of each buffer and floating-point operations come from the types and
/// from the model's own forward and backward pass run on paper (exec::count). Bytes and operations are those of one
/// rank. Torch-free.
struct run_plan {
  std::int64_t parameters = 0;         ///< trained scalars
  std::int64_t frozen_parameters = 0;  ///< scalars that stay as they are
  std::int64_t master_bytes = 0, gradient_bytes = 0, moment_bytes = 0;
  std::int64_t copy_bytes = 0;        ///< weights in the compute dtype, where that is not the master's
  std::int64_t frozen_bytes = 0;      ///< frozen weights, which have nothing but themselves, in the compute dtype
  std::int64_t adapter_bytes = 0;     ///< what lies between the two products of an adapter
  std::int64_t activation_bytes = 0;  ///< saved, scratch, logits, workspace: the sum of the following four
  std::int64_t saved_bytes = 0;       ///< what the forward pass keeps for the backward pass
  std::int64_t logits_bytes = 0;      ///< a chunk of logits, and of their gradient
  std::int64_t scratch_bytes = 0;     ///< of the backward pass
  std::int64_t workspace_bytes = 0;   ///< inside operations: of each member and of the team; rotary tables
  std::int64_t tokens_per_step = 0;   ///< over all ranks
  std::int64_t micro_batches = 0;     ///< of a step, on one rank
  std::int64_t steps = 0;             ///< 0: not known before the data is read
  std::int64_t step_flops = 0;  ///< of a step on one rank: GEMMs and attention, forward and backward, recomputation
                                ///< included
  std::int64_t forward_flops_per_token = 0, backward_flops_per_token = 0;  ///< recomputation counts as backward
  std::int64_t checkpoint_bytes = 0;  ///< one checkpoint on disk: weights and moments, without some KB of headers
  std::int64_t reduced_bytes = 0;     ///< gradients that a rank hands to the others in a step; 0 on one rank
  double seconds_per_step = 0;        ///< at the least: see exec::count::executor, and step_seconds below
  std::int64_t program_bytes = 0;     ///< of the process before it has a trainer: see program_bytes_on
  std::int64_t memory = 0;            ///< of the target
  bool fits = false;                  ///< fits_into(total(), memory)

  constexpr std::int64_t total() const {
    return master_bytes + gradient_bytes + moment_bytes + copy_bytes + frozen_bytes + adapter_bytes + activation_bytes;
  }
  /// What the system sees of the process once a step was made.
  constexpr std::int64_t peak() const { return total() + program_bytes; }
};

/// Whether a rank's `bytes` fit into `memory`. A tenth is left to what no plan sees: the program itself and its
/// libraries, a CUDA context, the text being read.
constexpr bool fits_into(std::int64_t bytes, std::int64_t memory) { return bytes <= memory / 10 * 9; }

/// Bytes that the program and its libraries take. On a CPU: measured with LibTorch 2.13 and MKL, Linux, x86-64
/// (tests/programs/plan_proof.cpp prints it). A CUDA context's is not known: 0.
constexpr std::int64_t program_bytes_on(device_kind d) { return d == device_kind::cpu ? 115'000'000 : 0; }

/// The rates of a target for what products multiply. Attention multiplies in fp32 on a CPU, whatever the dtype, and where
/// products are TF32.
constexpr exec::count::rates rates_of(target_facts const& f, dtype product) {
  return {.products = f.rate(product) * 1e9,
          .attention = f.rate(f.device == device_kind::cpu || product == dtype::tf32 ? dtype::fp32 : product) * 1e9,
          .bandwidth = f.bandwidth * 1e9};
}

/// Bytes of logits, where a model's head holds a chunk of them as `logits` and `d_logits`.
template <class Saved>
constexpr std::int64_t logits_bytes_of(Saved const& s) {
  std::int64_t total = 0;
  auto const add = [&](auto const& leaf) { total += nn::align_up(std::remove_cvref_t<decltype(leaf)>::bytes(0, 1)); };
  if constexpr (requires { s.head.logits; }) add(s.head.logits);
  if constexpr (requires { s.head.d_logits; }) add(s.head.d_logits);
  return total;
}

/// Seconds of a step at the least: the passes of all micro-batches; norm and update, which read and write each state
/// once (the norm reads the gradient once more); and the exchange of a ring, in which a rank sends and takes
/// 2 (ranks - 1) / ranks of the gradient (Patarasuk and Yuan 2009). Nothing is taken to overlap.
constexpr double step_seconds(run_plan const& p, double pass_seconds, target_facts const& f, int ranks) {
  double all = pass_seconds * double(p.micro_batches);
  if (f.bandwidth > 0)
    all += double(2 * p.master_bytes + 2 * p.gradient_bytes + 2 * p.moment_bytes + p.copy_bytes) / (f.bandwidth * 1e9);
  if (ranks > 1 && f.link > 0) all += double(p.reduced_bytes) / (f.link * 1e9);
  return all;
}

/// Whether exec::cuda has a model's layers. For others a plan on a GPU counts the CPU's buffers.
template <class Model>
inline constexpr bool on_gpu = requires { requires Model::cuda_layers; };

/// The plan of a model in a compute type, with an optimizer of so many moments in the format `moment`, for numbers known
/// when it is called. `product`: what products multiply, at whose rate a step is timed.
template <class Model, class Compute, int Moments, class Training = nn::train_all>
constexpr run_plan plan_of(plan_numbers const& n, target_facts const& f, dtype product, dtype moment = dtype::fp32) {
  using activations = exec::activations<Model, Compute>;
  std::int64_t const rows = n.micro * n.sequence;
  auto const counted = exec::count::forward_backward<Model, Compute, Training>(n.micro, n.sequence, rates_of(f, product));
  auto const forward = exec::count::evaluate<Model, Compute, Training>(n.micro, n.sequence);
  run_plan p;
  std::int64_t trained = 0;  // elements, padding included
  if constexpr (Training::splits) {
    using store = exec::split_store<Model, Compute, Training>;
    trained = store::size;
    p.parameters = store::layout::parameters.trained, p.frozen_parameters = store::layout::parameters.frozen;
    p.frozen_bytes = store::frozen_size * std::int64_t(sizeof(Compute));
    p.adapter_bytes = store::adapter_bytes(rows);
  } else {
    trained = exec::flat_layout<Model>::total;
    p.parameters = exec::flat_layout<Model>::parameters;
  }
  p.master_bytes = p.gradient_bytes = trained * 4;
  p.moment_bytes = trained * size_of(moment) * Moments;
  p.copy_bytes = std::is_same_v<Compute, float> ? 0 : trained * std::int64_t(sizeof(Compute));
  p.micro_batches = n.global / std::max<std::int64_t>(1, n.micro * n.ranks);
  p.activation_bytes = activations::bytes(rows, n.members, n.sequence);
  if constexpr (on_gpu<Model> && !Training::splits)
    if (f.device == device_kind::cuda)
      p.activation_bytes = exec::cuda::arena_bytes<Model, Compute, Moments>(rows, p.micro_batches, size_of(moment)) -
                           p.master_bytes - p.gradient_bytes - p.moment_bytes - p.copy_bytes;
  p.logits_bytes = logits_bytes_of(typename activations::saved_type{});
  p.saved_bytes = nn::activation_bytes<typename activations::saved_type>(rows, n.members) - p.logits_bytes;
  p.scratch_bytes = nn::activation_bytes<typename activations::scratch_type>(rows, n.members);
  p.workspace_bytes = p.activation_bytes - p.saved_bytes - p.logits_bytes - p.scratch_bytes;
  p.tokens_per_step = n.sequence * n.global;
  p.steps = n.steps;
  std::int64_t const pass_flops = counted.gemm_flops + counted.attention_flops;
  p.step_flops = pass_flops * p.micro_batches;
  p.forward_flops_per_token = (forward.gemm_flops + forward.attention_flops) / rows;
  p.backward_flops_per_token = pass_flops / rows - p.forward_flops_per_token;
  p.checkpoint_bytes = p.parameters * (4 + size_of(moment) * Moments);
  p.reduced_bytes = n.ranks > 1 ? p.gradient_bytes / n.ranks * 2 * (n.ranks - 1) : 0;
  p.seconds_per_step = step_seconds(p, counted.seconds, f, n.ranks);
  p.program_bytes = program_bytes_on(f.device);
  p.memory = f.memory.count;
  p.fits = fits_into(p.total(), p.memory);
  return p;
}

/// The plan of a recipe whose model is made of static layers, for other numbers than its own, for a machine of other
/// facts, and with moments in another format. May be called while compiling and while running.
template <auto const& R>
constexpr run_plan make_plan(plan_numbers const& n, target_facts const& f = R.target.facts(),
                             dtype moment = dtypes_of(R).moment) {
  return plan_of<models::of_recipe<R>, models::compute_of<R>, std::remove_cvref_t<decltype(R.optimizer)>::moments,
                 models::training_of<R>>(n, f, dtypes_of(R).product(), moment);
}

/// The plan of a recipe with its own numbers, for a team of `members`.
template <auto const& R>
constexpr run_plan make_plan(int members = 1) {
  return make_plan<R>(numbers_of(R, members));
}

/// Why a recipe has no plan: a broken rule, or a model without static layers; rules::silent where it has one.
template <auto const& R>
using plan_refusal = std::conditional_t<
    !is_legal(R), checked<R>,
    std::conditional_t<rules::plan_static_layers::holds(R), rules::silent, rules::plan_static_layers::with<>>>;

/// The plan of a recipe: static_assert(tenon::plan<pro>.fits), or tenon::fits<pro> (exec/fits.hpp), which says by how
/// much not. A recipe without one gives one compile error.
template <auto const& R>
inline constexpr run_plan plan = make_plan<R>();
template <auto const& R>
requires(!std::is_same_v<plan_refusal<R>, rules::silent>) inline constexpr run_plan plan<R>{
    .fits = !__is_base_of(invalid, plan_refusal<R>)};  // true: adds no second error

}  // namespace tenon
