#pragma once
#include <cstdint>
#include <type_traits>

#include "tenon/nn/views.hpp"

/// What of a model is trained. Layers are written once; a store that trains a part of them lends the same `params` in
/// other families: a frozen weight is a weight without a place for its gradient, an adapted one has two small matrices
/// beside it (LoRA; Hu et al. 2021, arXiv 2106.09685). Executors take them through nn::adapter_operations.
namespace tenon::nn {

/// A set of roles.
constexpr std::uint32_t roles(auto... r) { return (0u | ... | (1u << unsigned(r))); }
constexpr bool has_role(std::uint32_t set, role r) { return (set >> unsigned(r) & 1) != 0; }

/// Every parameter.
struct train_all {
  static constexpr bool splits = false;  ///< whether anything is frozen
  static constexpr int adapter_rank = 0;
  static constexpr bool trains(role) { return true; }
  static constexpr bool adapts(role) { return false; }
};
/// All but these roles.
template <std::uint32_t Frozen>
struct train_without {
  static constexpr bool splits = true;
  static constexpr int adapter_rank = 0;
  static constexpr bool trains(role r) { return !has_role(Frozen, r); }
  static constexpr bool adapts(role) { return false; }
};
/// Only adapters of rank `Rank` beside the matrices of these roles.
template <int Rank, std::uint32_t Adapted>
struct train_adapters {
  static_assert(Rank > 0, "an adapter has at least one column");
  static constexpr bool splits = true;
  static constexpr int adapter_rank = Rank;
  static constexpr bool trains(role r) { return r == role::adapter; }
  static constexpr bool adapts(role r) { return has_role(Adapted, r); }
};

// ---- Leaves.

/// A frozen parameter's place for a gradient: there is none. Executors write nothing.
template <int Rows, int Cols, role Role, initializer Init, int Rank>
struct untrained {
  using leaf = untrained;
  using facts = parameter_facts<Rows, Cols, Rank, Role, Init>;
  float beta = 0;
};
template <class Leaf>
inline constexpr bool is_untrained = false;
template <int N, int K, role R, initializer I, int D>
inline constexpr bool is_untrained<untrained<N, K, R, I, D>> = true;

/// The two matrices of an adapter, down [Low, Cols] and up [Rows, Low], in a family. On disk lora_A and lora_B.
template <class F, int Rows, int Cols, int Low>
struct adapter_pair {
  typename F::template matrix<Low, Cols, role::adapter, initializer::uniform_by_width> down;
  typename F::template matrix<Rows, Low, role::adapter, initializer::zeros> up;
};

/// A frozen weight W with its adapter: y = W x + scale up (down x). `low` and `d_low` hold [rows, Low] inside of one
/// operation; `wide` [rows, Rows], where results are 16 bits wide.
template <class T, int Rows, int Cols, role Role, initializer Init, int Low>
struct adapted {
  using leaf = adapted;
  static constexpr int low_width = Low;
  weight<T, Rows, Cols, Role, Init, 2> frozen;
  adapter_pair<weights<T>, Rows, Cols, Low> adapter;
  rows<T, Low> low;
  rows<float, Low> d_low;
  float* wide = nullptr;
  float scale = 1;
};
/// The places of an adapter's gradients, with what they are computed from.
template <class T, int Rows, int Cols, int Low>
struct adapted_gradient {
  using leaf = adapted_gradient;
  adapter_pair<gradients, Rows, Cols, Low> adapter;
  adapter_pair<weights<T>, Rows, Cols, Low> values;
  rows<T, Low> low;
  rows<float, Low> d_low;
  float scale = 1, beta = 0;
};
/// Facts of both.
template <int Rows, int Cols, role Role, initializer Init, int Low>
struct adapted_description {
  using leaf = adapted_description;
  description<Rows, Cols, Role, Init, 2> frozen;
  adapter_pair<described, Rows, Cols, Low> adapter;
};
template <class Leaf>
inline constexpr bool is_adapted = false;
template <class T, int N, int K, role R, initializer I, int L>
inline constexpr bool is_adapted<adapted<T, N, K, R, I, L>> = true;
template <class T, int N, int K, int L>
inline constexpr bool is_adapted<adapted_gradient<T, N, K, L>> = true;
template <int N, int K, role R, initializer I, int L>
inline constexpr bool is_adapted<adapted_description<N, K, R, I, L>> = true;

/// Outputs [First, First + Count) of an adapted projection: rows of W and of up; down is theirs together.
template <int First, int Count, class T, int N, int K, role R, initializer I, int L>
constexpr adapted<T, Count, K, R, I, L> outputs(adapted<T, N, K, R, I, L> const& w) {
  return {outputs<First, Count>(w.frozen),
          {w.adapter.down, outputs<First, Count>(w.adapter.up)},
          w.low,
          w.d_low,
          w.wide,
          w.scale};
}
/// The part that begins at 0 must be written first: it is the first writer of down's gradient, the others add.
template <int First, int Count, class T, int N, int K, int L>
constexpr adapted_gradient<T, Count, K, L> outputs(adapted_gradient<T, N, K, L> const& g) {
  auto down = g.adapter.down;
  if constexpr (First > 0) down.beta = 1;
  return {{down, outputs<First, Count>(g.adapter.up)},
          {g.values.down, outputs<First, Count>(g.values.up)},
          g.low,
          g.d_low,
          g.scale,
          g.beta};
}
template <int First, int Count, int N, int K, role R, initializer I, int D>
constexpr untrained<Count, K, R, I, D> outputs(untrained<N, K, R, I, D> const&) {
  return {};
}

// ---- Families: `params` of a layer under a training.

template <class Training>
struct described_under {
  template <int Rows, int Cols, role Role, initializer Init, int Rank = 2>
  using matrix = std::conditional_t<
      Training::adapts(Role) && Rank == 2,
      adapted_description<Rows, Cols, Role, Init, Training::adapter_rank == 0 ? 1 : Training::adapter_rank>,
      description<Rows, Cols, Role, Init, Rank>>;
  template <int Size>
  using vector_state = described::vector_state<Size>;
};
template <class T, class Training>
struct weights_under {
  template <int Rows, int Cols, role Role, initializer Init, int Rank = 2>
  using matrix =
      std::conditional_t<Training::adapts(Role) && Rank == 2,
                         adapted<T, Rows, Cols, Role, Init, Training::adapter_rank == 0 ? 1 : Training::adapter_rank>,
                         weight<T, Rows, Cols, Role, Init, Rank>>;
  template <int Size>
  using vector_state = state<Size>;
};
template <class T, class Training>
struct gradients_under {
  template <int Rows, int Cols, role Role, initializer Init, int Rank = 2>
  using matrix =
      std::conditional_t<Training::adapts(Role) && Rank == 2,
                         adapted_gradient<T, Rows, Cols, Training::adapter_rank == 0 ? 1 : Training::adapter_rank>,
                         std::conditional_t<Training::trains(Role), gradient<Rows, Cols, Role, Init, Rank>,
                                            untrained<Rows, Cols, Role, Init, Rank>>>;
  template <int Size>
  using vector_state = gradients::vector_state<Size>;
};

}  // namespace tenon::nn
