#pragma once
#include <algorithm>
#include <concepts>

#include "tenon/recipe/curriculum.hpp"
#include "tenon/recipe/expert_model.hpp"
#include "tenon/recipe/horizon.hpp"
#include "tenon/recipe/math.hpp"
#include "tenon/recipe/recipe.hpp"

/// A small run of the same types that shows in about a minute whether data, tokenizer, schedule, checkpoints and loss
/// work together, before the full run is started.
namespace tenon {

/// A model policy with few layers and small widths: every kind of block that the full model has occurs, and every
/// option that selects code stays as it is.
constexpr model::deepseek_llm rehearsed(model::deepseek_llm m) {
  bool const grouped = m.kv() != m.heads;
  m.intermediate = std::max(32, 128 * m.intermediate / m.hidden / 8 * 8);
  m.vocab = std::min<int>(m.vocab, 1'024), m.hidden = 128, m.layers = 2, m.heads = 4, m.kv_heads = grouped ? 2 : 0;
  m.positions = std::min<int>(m.positions, 128);
  return m;
}
template <class Model>
requires is_expert_decoder<Model>
constexpr Model rehearsed(Model m) {
  m.intermediate = std::max(32, 128 * m.intermediate / m.hidden / 8 * 8);
  m.vocab = std::min<int>(m.vocab, 1'024), m.hidden = 128, m.heads = 4, m.positions = std::min<int>(m.positions, 128);
  m.dense_layers = std::min<int>(m.dense_layers, 1), m.layers = m.dense_layers + 1;
  m.query_rank = m.query_rank == 0 ? 0 : 48, m.latent_rank = 32, m.nope_dim = 16, m.rope_dim = 16, m.value_dim = 16;
  bool const grouped = m.groups > 1;
  m.groups = grouped ? 4 : 1, m.chosen_groups = grouped ? 2 : 1, m.experts = 8, m.chosen = std::min<int>(m.chosen, 2);
  m.shared = std::min<int>(m.shared, 2), m.expert_intermediate = 32;
  if constexpr (requires { m.mtp_modules; }) m.mtp_modules = std::min<int>(m.mtp_modules, 1);
  return m;
}

/// The rate of a run of another size: peak * (C / C')^(1/8), after the fit of Bi et al. 2024 (DeepSeek LLM, arXiv
/// 2401.02954, equation 1), by which the best rate of this family falls with the eighth root of the compute budget C.
/// C is taken as scalars that a token meets times tokens of the run.
constexpr double transferred_rate(double peak, double compute, double other_compute) {
  return peak * math::sqrt(math::sqrt(math::sqrt(compute / other_compute)));
}

namespace detail {
template <class Recipe>
constexpr double scalars_of(Recipe const& r) {
  if constexpr (requires { r.model.active_parameters(); })
    return double(r.model.active_parameters());
  else
    return double(r.model.parameters());
}
/// Tokens of a run; where that is not known before the data is read, 20 for each scalar (Hoffmann et al. 2022, arXiv
/// 2203.15556).
template <class Recipe>
constexpr double tokens_of(Recipe const& r) {
  auto const steps = total_steps(r.horizon, r.batch).count;
  return steps > 0 ? double(steps) * double(tokens_per_step(r.batch).count) : 20 * scalars_of(r);
}
}  // namespace detail

/// R.rehearsal(): the same policies with a small model, 200 steps of 8 short samples, and the peak rate transferred.
/// Target and precision stay, so that it runs where the full run will; for another machine, replace them with .with.
template <class Recipe>
requires requires(Recipe const& r) { rehearsed(r.model); }
constexpr auto rehearse(Recipe const& full) {
  return full.edit([&](auto& r) {
    r.model = rehearsed(full.model);
    std::int64_t ranks = 1;
    if constexpr (requires { int(r.parallel.ranks); }) ranks = std::max(1, int(r.parallel.ranks));
    r.batch.sequence = tokens{std::min<std::int64_t>(full.batch.sequence.count, 128)};
    r.batch.micro = samples{4}, r.batch.global = samples{8 * ranks};
    if constexpr (!curriculum::has_stages<std::remove_cvref_t<decltype(r.curriculum)>>) r.horizon = horizon{steps{200}};
    if constexpr (requires { r.schedule.warmup; }) r.schedule.warmup = span_of_run{percent{10}};
    if constexpr (requires { r.schedule.decay; }) r.schedule.decay = span_of_run{percent{10}};
    if constexpr (requires { r.schedule.peak; })
      r.schedule.peak = transferred_rate(full.schedule.peak, detail::scalars_of(full) * detail::tokens_of(full),
                                         detail::scalars_of(r) * detail::tokens_of(r));
    if constexpr (requires { r.memory.every; }) r.memory.every = std::min<int>(r.memory.every, 1);
    if constexpr (requires { r.data.tokenizer_vocab; })
      r.data.tokenizer_vocab = std::min<int>(r.data.tokenizer_vocab, r.model.vocab);
  });
}

}  // namespace tenon
