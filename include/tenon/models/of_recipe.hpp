#pragma once
#include <type_traits>

#include "tenon/models/deepseek_llm.hpp"
#include "tenon/models/deepseek_v3.hpp"
#include "tenon/nn/dtype.hpp"
#include "tenon/nn/rotation.hpp"
#include "tenon/nn/training.hpp"
#include "tenon/recipe/expert_model.hpp"
#include "tenon/recipe/recipe.hpp"

/// From a recipe's policies to the types that the engine is made of.
namespace tenon::models {

/// How many blocks a recomputed segment has; 0 keeps everything.
template <class Memory>
constexpr int recompute_every(Memory const&) {
  return 0;
}
constexpr int recompute_every(memory::recompute const& m) { return m.every; }

/// The model type of a model policy. `R` is read for its fixed fields only, so recipes that differ in trajectory fields
/// name the same type.
template <class Policy>
struct architecture;
template <>
struct architecture<model::deepseek_llm> {
  template <auto const& R>
  using of =
      deepseek_llm<R.model.vocab, R.model.hidden, R.model.layers, R.model.heads, R.model.kv(), R.model.intermediate,
                   R.model.positions, R.model.tied, nn::bits(R.model.norm_eps), recompute_every(R.memory)>;
};

/// What V2 and V3 have in common.
template <auto const& R>
using latent_shape_of =
    latent_shape<R.model.heads, R.model.query_rank, R.model.latent_rank, R.model.nope_dim, R.model.rope_dim,
                 R.model.value_dim, nn::bits(R.model.rope_scaling.score_factor())>;
template <auto const& R, nn::gate Gate, bool Normalised>
using expert_shape_of = expert_shape<R.model.expert_intermediate, R.model.shared,
                                     nn::routing<R.model.experts, R.model.chosen, R.model.groups, R.model.chosen_groups,
                                                 Gate, Normalised, nn::bits(R.model.routed_scale)>>;
template <>
struct architecture<model::deepseek_v2> {
  template <auto const& R>
  using of = deepseek_v2<R.model.vocab, R.model.hidden, R.model.layers, R.model.dense_layers, R.model.intermediate,
                         R.model.positions, R.model.tied, latent_shape_of<R>,
                         expert_shape_of<R, nn::gate::softmax, false>, nn::bits(R.model.norm_eps),
                         recompute_every(R.memory)>;
};
template <>
struct architecture<model::deepseek_v3> {
  template <auto const& R>
  using of = deepseek_v3<R.model.vocab, R.model.hidden, R.model.layers, R.model.dense_layers, R.model.intermediate,
                         R.model.positions, R.model.tied, latent_shape_of<R>,
                         expert_shape_of<R, nn::gate::sigmoid, R.model.normalised>, nn::bits(R.model.norm_eps),
                         recompute_every(R.memory), R.model.mtp_modules>;
};

/// What of a model is trained, of a policy of the axis trainable.
template <class Policy>
struct training;
template <>
struct training<trainable::all> {
  template <auto const& R>
  using of = nn::train_all;
};
template <>
struct training<trainable::lora> {
  template <auto const& R>
  using of = nn::train_adapters<R.trainable.rank, (R.trainable.attention ? nn::roles(nn::role::attention) : 0u) |
                                                      (R.trainable.feed_forward ? nn::roles(nn::role::feed_forward) : 0u)>;
};
template <>
struct training<trainable::frozen> {
  template <auto const& R>
  using of = nn::train_without<(R.trainable.embedding ? nn::roles(nn::role::embedding) : 0u) |
                               (R.trainable.norm ? nn::roles(nn::role::norm) : 0u) |
                               (R.trainable.attention ? nn::roles(nn::role::attention) : 0u) |
                               (R.trainable.feed_forward ? nn::roles(nn::role::feed_forward) : 0u) |
                               (R.trainable.experts ? nn::roles(nn::role::hidden, nn::role::router_bias) : 0u)>;
};
template <auto const& R>
using training_of = typename training<std::remove_cvref_t<decltype(R.trainable)>>::template of<R>;

/// What an adapter's output is multiplied with; 1 where there are none.
template <class Policy>
constexpr float adapter_scale(Policy const& p) {
  if constexpr (requires { p.alpha; })
    return float(p.alpha.get() / p.rank);
  else
    return 1;
}

/// Weights of a model's balance losses; all 0 where it has none.
template <class Policy>
constexpr nn::balance_weights balance_of(Policy const& m) {
  if constexpr (requires { m.sequence_balance; })
    return {.expert = float(m.sequence_balance)};
  else if constexpr (requires { m.expert_balance; })
    return {float(m.expert_balance), float(m.device_balance), float(m.exchange_balance)};
  else
    return {};
}
/// How a router's bias moves.
template <class Policy>
constexpr nn::bias_rule bias_rule_of(Policy const& m) {
  if constexpr (requires { m.bias_rule; })
    return {float(m.bias_rate), m.bias_rule == model::bias_update::centred};
  else
    return {};
}

/// Weight of the loss of each module that predicts a further token: lambda / D of DeepSeek-V3's equation 25.
template <class Policy>
constexpr float further_weight_of(Policy const& m) {
  if constexpr (requires { m.mtp_weight; })
    return m.mtp_modules > 0 ? float(m.mtp_weight / m.mtp_modules) : 0.f;
  else
    return 0;
}

/// Whether a model policy stands for static layers, whose memory and work are known before the start.
template <class Policy>
inline constexpr bool has_static_layers = requires {
  sizeof(architecture<Policy>);
};

/// The angles of a model's rotary positions.
template <class Policy>
nn::rotation rotation_of(Policy const& m) {
  return {m.rope_theta, m.rope_scaling};
}

template <auto const& R>
using of_recipe = typename architecture<std::remove_cvref_t<decltype(R.model)>>::template of<R>;

/// The storage type of a compute dtype.
template <dtype D>
using storage = std::conditional_t<D == dtype::fp32, float, std::conditional_t<D == dtype::bf16, nn::bf16, nn::fp16>>;

template <auto const& R>
using compute_of = storage<resolved_precision_t<decltype(R)>::compute>;

}  // namespace tenon::models
