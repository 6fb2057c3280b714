#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/core/reflect.hpp"
#include "tenon/nn/views.hpp"

/// From aggregates of leaves to offsets: what turns a `params` or `saved` struct into places in one flat buffer.
namespace tenon::nn {

inline constexpr std::int64_t alignment = 64;  ///< bytes; one cache line and one AVX-512 register
constexpr std::int64_t align_up(std::int64_t bytes, std::int64_t to = alignment) { return (bytes + to - 1) / to * to; }

template <class T>
inline constexpr bool is_array = false;
template <class T, std::size_t N>
inline constexpr bool is_array<std::array<T, N>> = true;

/// What a layer saves, where its input is another's: `dw.in` takes no memory and is lent for each call.
template <class Saved>
struct without_input {
  using borrows = without_input;
  Saved value;
  constexpr Saved with(auto in) const {
    Saved s = value;
    s.dw.in = in;
    return s;
  }
};

/// Visits every leaf of an aggregate in declaration order (depth first; arrays of aggregates element by element).
/// `f(leaf&)`.
template <class Aggregate, class F>
constexpr void for_each_leaf(Aggregate& a, F&& f) {
  if constexpr (leaf<Aggregate>) {
    f(a);
  } else if constexpr (is_array<Aggregate>) {
    for (auto& element : a) for_each_leaf(element, f);
  } else if constexpr (requires { typename Aggregate::borrows; }) {
    void const* const lent = &a.value.dw.in;
    for_each_leaf(a.value, [&](auto& leaf) {
      if (static_cast<void const*>(&leaf) != lent) f(leaf);
    });
  } else {
    for_each_field(a, [&](std::string_view, auto& member) { for_each_leaf(member, f); });
  }
}

/// How often an aggregate of parameters stands one behind the other: it says `static constexpr int copies = 8` where
/// its leaves are those of the first of 8 experts, say. On disk copy c is called PATH.c.FIELD.
template <class Aggregate>
constexpr int copies_of() {
  if constexpr (requires { std::remove_const_t<Aggregate>::copies; })
    return std::remove_const_t<Aggregate>::copies;
  else
    return 1;
}

/// Like for_each_leaf, with the dotted path of each leaf: `f(std::string const& path, leaf&)`; copies one by one.
template <class Aggregate, class F>
void for_each_named_leaf(Aggregate& a, std::string const& prefix, F&& f) {
  constexpr bool many = requires {
    std::remove_const_t<Aggregate>::copies;
  };
  for (int c = 0; c < copies_of<Aggregate>(); ++c)
    for_each_field(a, [&](std::string_view name, auto& member) {
      std::string const path = prefix + (many ? std::to_string(c) + '.' : "") + std::string(name);
      if constexpr (leaf<std::remove_cvref_t<decltype(member)>>) {
        f(path, member);
      } else {
        for_each_named_leaf(member, path + '.', f);
      }
    });
}

/// Parameters of one layer, as a described aggregate.
template <class Layer>
using described_params = typename Layer::template params<described>;

/// Sum of f(leaf) over an aggregate of descriptions, copies included.
template <class Aggregate, class F>
constexpr std::int64_t sum_over_parameters(Aggregate const& a, F const& f) {
  if constexpr (leaf<Aggregate>) {
    return f(a);
  } else {
    std::int64_t total = 0;
    for_each_field(a, [&](std::string_view, auto const& member) { total += sum_over_parameters(member, f); });
    return total * copies_of<Aggregate>();
  }
}
/// Elements of an aggregate of descriptions, each tensor padded to a cache line of fp32 so that it starts aligned.
template <class Described>
constexpr std::int64_t padded_size() {
  return sum_over_parameters(Described{}, [](auto const& p) { return align_up(p.size, alignment / 4); });
}
/// The same of a layer.
template <class Layer>
constexpr std::int64_t padded_parameters() {
  return padded_size<described_params<Layer>>();
}

/// Parameters of `Layer` without padding and state: what people call its size.
template <class Layer>
constexpr std::int64_t num_parameters() {
  return sum_over_parameters(described_params<Layer>{}, [](auto const& p) {
    return p.parameter_role == role::router_bias ? std::int64_t{0} : p.size;
  });
}

namespace detail {
/// `state` is where the fp32 values of the same places begin; leaves of state are bound there.
template <class Params, class T>
constexpr std::int64_t bind_from(Params& p, T* base, float* state, std::int64_t at) {
  if constexpr (leaf<Params>) {
    if constexpr (is_state<Params>) {
      if (state != nullptr) p.data = state + at;
      if constexpr (std::is_same_v<T, float>)
        if (state == nullptr) p.data = base + at;
    } else {
      p.data = base + at;
    }
    return at + align_up(Params::facts::size, alignment / 4);
  } else {
    auto const start = at;
    for_each_field(p, [&](std::string_view, auto& member) { at = bind_from(member, base, state, at); });
    return start + (at - start) * copies_of<Params>();
  }
}
}  // namespace detail

/// Points the leaves of `p` (weights or gradients) at consecutive padded places from `base`. `state`: the master values
/// of the same places, for weights with state (where base is fp32, it serves both).
template <class Params, class T>
constexpr void bind_parameters(Params& p, T* base, float* state = nullptr) {
  detail::bind_from(p, base, state, 0);
}

/// A place in a flat buffer with the facts that the optimizer, the initialiser and the checkpoint need.
struct parameter_place {
  std::string name;         ///< the name on disk, as in Hugging Face's files
  std::int64_t offset;      ///< elements from the start of the flat buffer
  std::int64_t rows, cols;  ///< global shape; cols only for rank 1
  int rank;
  role parameter_role;
  initializer init;
  std::vector<std::int64_t> other_shape{};  ///< of a tensor of rank 0 or above 2 (a module under autograd)
  bool trainable = true;                    ///< false: the optimizer leaves it alone
  std::int64_t size() const { return rows * cols; }
  /// The shape on disk.
  std::vector<std::int64_t> shape() const {
    if (rank == 1) return {cols};
    return rank == 2 ? std::vector<std::int64_t>{rows, cols} : other_shape;
  }
};

/// Bytes that an activation aggregate needs for `num_rows` rows and `members` members of the team, padding included.
/// Without `Backward`, leaves that are `backward_only` take none.
template <class Aggregate, bool Backward = true>
constexpr std::int64_t activation_bytes(std::int64_t num_rows, int members) {
  std::int64_t total = 0;
  Aggregate a{};
  for_each_leaf(a, [&](auto const& view) {
    using view_t = std::remove_cvref_t<decltype(view)>;
    if constexpr (Backward || !is_backward_only<view_t>) total += align_up(view_t::bytes(num_rows, members));
  });
  return total;
}

/// Points the leaves of an activation aggregate at consecutive places from `base`; returns the first byte after them.
template <bool Backward = true, class Aggregate>
std::byte* bind_activations(Aggregate& a, std::byte* base, std::int64_t num_rows, int members) {
  for_each_leaf(a, [&](auto& view) {
    using view_t = std::remove_cvref_t<decltype(view)>;
    if constexpr (Backward || !is_backward_only<view_t>) {
      view.data = reinterpret_cast<typename view_t::value_type*>(base);
      base += align_up(view_t::bytes(num_rows, members));
    }
  });
  return base;
}

}  // namespace tenon::nn
