#pragma once
#include <cstdint>
#include <type_traits>

#include "tenon/nn/dtype.hpp"

/// Typed views: widths are part of the type, the number of rows is a run-time value of the micro-batch.
/// A layer's aggregates (`params`, `saved_*`, `scratch`) are made of these leaves and of nested aggregates.
namespace tenon::nn {

/// p + n; on paper (null, in a constant expression) everything stays nowhere.
template <class T>
constexpr T* advance(T* p, std::int64_t n) {
  if (std::is_constant_evaluated() && p == nullptr) return nullptr;
  return p + n;
}

/// What a parameter is for: the optimizer routes by it, and what is frozen or adapted is named by it. `attention`: the
/// projections of attention; `feed_forward`: those of a feed-forward that every row goes through; `hidden`: all other
/// matrices between the embedding and the head, such as routers and routed experts.
enum class role : std::uint8_t { hidden, embedding, norm, bias, router_bias, adapter, attention, feed_forward };

/// Value of a parameter before step 0. `normal`: N(0, init_std); `normal_by_depth`: N(0, init_std / sqrt(2 * layers)),
/// for the matrices that write into the residual stream (Radford et al. 2019, section 2.3). `uniform_by_width`: uniform
/// in +-1/sqrt(columns), which is torch's kaiming_uniform_(a = sqrt(5)).
enum class initializer : std::uint8_t { normal, normal_by_depth, ones, zeros, uniform_by_width };

/// Activation: `rows x Width`, row-major, one row per token.
template <class T, int Width>
struct rows {
  using leaf = rows;
  using value_type = T;
  static constexpr int width = Width;
  static constexpr std::int64_t bytes(std::int64_t num_rows, int) { return num_rows * Width * std::int64_t(sizeof(T)); }
  T* data = nullptr;
  constexpr T* row(std::int64_t r) const { return advance(data, r * Width); }
};

/// A buffer with a fixed number of rows, whatever the micro-batch (a chunk of logits, say).
template <class T, int Rows, int Width>
struct block {
  using leaf = block;
  using value_type = T;
  static constexpr int height = Rows, width = Width;
  static constexpr std::int64_t bytes(std::int64_t, int) {
    return std::int64_t{Rows} * Width * std::int64_t(sizeof(T));
  }
  T* data = nullptr;
  constexpr T* row(std::int64_t r) const { return advance(data, r * Width); }
};

/// Rows that stay together when they are divided among the members of a team.
inline constexpr std::int64_t row_tile = 16;
constexpr std::int64_t num_row_tiles(std::int64_t num_rows) { return (num_rows + row_tile - 1) / row_tile; }

/// One row of `Width` for each tile of rows: partial sums that are later added in the order of the tiles, so that the
/// total has the same bits for any number of members.
template <class T, int Width>
struct per_tile {
  using leaf = per_tile;
  using value_type = T;
  static constexpr int width = Width;
  static constexpr std::int64_t bytes(std::int64_t num_rows, int) {
    return num_row_tiles(num_rows) * Width * std::int64_t(sizeof(T));
  }
  T* data = nullptr;
  constexpr T* row(std::int64_t tile) const { return advance(data, tile * Width); }
};

/// Sets each member's own tiles to zero.
template <class X, class T>
constexpr void clear_tiles(X& x, per_tile<T, 1> const& sums, std::int64_t num_rows) {
  x.rows(num_rows, [&](auto first, auto last) {
    for (auto tile = first / row_tile; tile < num_row_tiles(last); ++tile) *sums.row(tile) = 0;
  });
}
/// Total of the tiles' sums, in their order.
template <class T>
constexpr T sum_of_tiles(per_tile<T, 1> const& sums, std::int64_t num_rows) {
  T total = 0;
  for (std::int64_t tile = 0; tile < num_row_tiles(num_rows); ++tile) total += *sums.row(tile);
  return total;
}

/// One row of `Width` for each member of the executor's team.
template <class T, int Width>
struct per_member {
  using leaf = per_member;
  using value_type = T;
  static constexpr int width = Width;
  static constexpr std::int64_t bytes(std::int64_t, int members) {
    return std::int64_t{members} * Width * std::int64_t(sizeof(T));
  }
  T* data = nullptr;
  constexpr T* row(std::int64_t member) const { return advance(data, member * Width); }
};

/// A leaf that only the backward pass reads. Where there is none it takes no memory and its data is null.
template <class Leaf>
struct backward_only : Leaf {
  using leaf = backward_only;
};
template <class Leaf>
inline constexpr bool is_backward_only = false;
template <class Leaf>
inline constexpr bool is_backward_only<backward_only<Leaf>> = true;

/// Static facts of one parameter tensor. A vector has Rows == 1 and rank 1.
template <int Rows, int Cols, int Rank, role Role, initializer Init>
struct parameter_facts {
  static constexpr int num_rows = Rows, num_cols = Cols, rank = Rank;
  static constexpr role parameter_role = Role;
  static constexpr initializer init = Init;
  static constexpr std::int64_t size = std::int64_t{Rows} * Cols;
};

/// Facts only.
template <int Rows, int Cols, role Role, initializer Init, int Rank>
struct description : parameter_facts<Rows, Cols, Rank, Role, Init> {
  using leaf = description;
};

/// A parameter's values in the compute dtype; row-major [Rows, Cols].
template <class T, int Rows, int Cols, role Role, initializer Init, int Rank>
struct weight {
  using leaf = weight;
  using facts = parameter_facts<Rows, Cols, Rank, Role, Init>;
  T const* data = nullptr;
};

/// A sink for one parameter's gradient: `data = beta * data + contribution`. beta is 0 for the first writer of the
/// first micro-batch and 1 for all others, so nothing is cleared beforehand.
template <int Rows, int Cols, role Role, initializer Init, int Rank>
struct gradient {
  using leaf = gradient;
  using facts = parameter_facts<Rows, Cols, Rank, Role, Init>;
  float* data = nullptr;
  float beta = 0;
};

/// A vector that is trained without a gradient, such as a router's bias: fp32 in every precision, on disk with the
/// parameters, moved by its layer's `end_of_step` alone. In place of a gradient the step gathers what that rule needs
/// (`gradient`, same size, same first-writer rule), so whoever sums gradients over micro-batches and ranks sums it, too.
template <int Size>
struct state {
  using leaf = state;
  using facts = parameter_facts<1, Size, 1, role::router_bias, initializer::zeros>;
  float* data = nullptr;
};
template <class Leaf>
inline constexpr bool is_state = false;
template <int Size>
inline constexpr bool is_state<state<Size>> = true;

/// A `params` aggregate is written once, as a template over a family, and seen three ways.
struct described {
  template <int Rows, int Cols, role Role, initializer Init, int Rank = 2>
  using matrix = description<Rows, Cols, Role, Init, Rank>;
  template <int Size>
  using vector_state = description<1, Size, role::router_bias, initializer::zeros, 1>;
};
template <class T>
struct weights {
  template <int Rows, int Cols, role Role, initializer Init, int Rank = 2>
  using matrix = weight<T, Rows, Cols, Role, Init, Rank>;
  template <int Size>
  using vector_state = state<Size>;
};
struct gradients {
  template <int Rows, int Cols, role Role, initializer Init, int Rank = 2>
  using matrix = gradient<Rows, Cols, Role, Init, Rank>;
  template <int Size>
  using vector_state = gradient<1, Size, role::router_bias, initializer::zeros, 1>;
};

/// Outputs [First, First + Count) of a projection: rows of a matrix [Out, In] lie one behind the other.
template <int First, int Count, class T, int N, int K, role R, initializer I, int D>
constexpr weight<T, Count, K, R, I, D> outputs(weight<T, N, K, R, I, D> const& w) {
  static_assert(First >= 0 && First + Count <= N);
  return {advance(w.data, std::int64_t{First} * K)};
}
template <int First, int Count, int N, int K, role R, initializer I, int D>
constexpr gradient<Count, K, R, I, D> outputs(gradient<N, K, R, I, D> const& g) {
  static_assert(First >= 0 && First + Count <= N);
  return {advance(g.data, std::int64_t{First} * K), g.beta};
}

/// One view for each of several tensors of one shape that lie `stride` elements apart.
template <class Leaf>
struct stack {
  Leaf first;
  std::int64_t stride;
  constexpr Leaf operator[](std::int64_t i) const {
    Leaf one = first;
    one.data = advance(first.data, i * stride);
    return one;
  }
};
template <class Leaf>
stack(Leaf, std::int64_t) -> stack<Leaf>;

template <class T>
concept leaf = requires {
  typename T::leaf;
};

}  // namespace tenon::nn
