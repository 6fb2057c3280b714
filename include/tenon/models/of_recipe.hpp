#pragma once
#include <type_traits>

#include "tenon/models/deepseek_llm.hpp"
#include "tenon/nn/dtype.hpp"
#include "tenon/nn/rotation.hpp"
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
