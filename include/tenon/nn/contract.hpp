#pragma once
#include <concepts>
#include <type_traits>

#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

/// The layer contract (docs/writing-a-layer.md) as concepts. A combinator asks `require_layer`; what
/// is missing is then one sentence, and nothing of the layer is instantiated.
namespace tenon::nn {

/// Stands for any executor where only declarations are looked at.
struct any_executor {
  using compute = float;
};

namespace contract {
template <class L>
concept width = requires {
  std::integral_constant<int, L::width>{};
};
template <class L>
concept params = requires {
  typename L::template params<described>;
  typename L::template params<weights<float>>;
  typename L::template params<gradients>;
};
template <class L>
concept saved = requires {
  typename L::template saved<float>;
};
template <class L>
concept scratch = requires {
  typename L::scratch;
};
template <class L>
concept input = requires(typename L::template saved<float> const& s) {
  { s.dw.in } -> std::same_as<rows<float, L::width> const&>;
};

using executor = any_executor;
template <class L>
using values = typename L::template params<weights<float>>;
template <class L>
using sinks = typename L::template params<gradients>;
template <class L>
using memory = typename L::template saved<float>;
template <class L>
using stream = rows<float, L::width>;

/// A layer adds to the stream; a block leads from one stream to the next.
template <class L>
concept layer_forward = requires(executor& x, micro_batch const& b, values<L> const& p, memory<L> const& s,
                                 stream<L> r) {
  L::template forward<mode::train>(x, b, p, s, r);
};
template <class L>
concept block_forward = requires(executor& x, micro_batch const& b, values<L> const& p, memory<L> const& s,
                                 stream<L> r) {
  L::template forward<mode::train>(x, b, p, s, r, r);
};
template <class L>
concept backward_input = requires(executor& x, micro_batch const& b, values<L> const& p, memory<L> const& s,
                                  typename L::scratch const& t, stream<L> r) {
  L::backward_input(x, b, p, s, t, r, r);
};
template <class L>
concept backward_weight = requires(executor& x, micro_batch const& b, sinks<L> const& g, memory<L> const& s) {
  L::backward_weight(x, b, g, s);
};
template <class L>
concept declares = width<L> && params<L> && saved<L> && scratch<L>;
}  // namespace contract

/// What `residual`, `chain` and `parallel` compose: a branch that finds its input in `saved.dw.in` and adds its output
/// to the stream.
template <class L>
concept layer = contract::declares<L> && contract::input<L> && contract::layer_forward<L> &&
    contract::backward_input<L> && contract::backward_weight<L>;

/// What `repeat` stacks: a function from one stream to the next.
template <class L>
concept stackable =
    contract::declares<L> && contract::block_forward<L> && contract::backward_input<L> && contract::backward_weight<L>;

enum class as : std::uint8_t { layer, block };

/// True, or the one sentence that says what `L` lacks to be a layer or a block. Write it below a layer of your own:
/// static_assert(nn::require_layer<mine>());
template <class L, as Kind = as::layer>
constexpr bool require_layer() {
  constexpr bool block = Kind == as::block, says_width = contract::width<L>, has_params = contract::params<L>,
                 has_saved = contract::saved<L>, has_scratch = contract::scratch<L>;
  if constexpr (!says_width) {
    static_assert(says_width,
                  "[tenon.layer_width] the layer does not say how wide its stream is, so nothing can be composed with "
                  "it. Write: static constexpr int width = Hidden;");
  } else if constexpr (!has_params) {
    static_assert(
        has_params,
        "[tenon.layer_params] the layer has no aggregate of parameters, so no store can hold them. Write: "
        "template <class F> struct params { ... }; with F::template matrix<...> for each, empty if there are none");
  } else if constexpr (!has_saved) {
    static_assert(
        has_saved,
        "[tenon.layer_saved] the layer does not say what its backward pass needs, so no plan can count it. "
        "Write: template <class T> struct saved { struct { ... } dx; struct { rows<T, Hidden> in; ... } dw; };");
  } else if constexpr (!has_scratch) {
    static_assert(has_scratch,
                  "[tenon.layer_scratch] the layer does not name its scratch memory, so no plan can count it. Write: "
                  "struct scratch { ... }; with what means nothing after a call, empty if there is none");
  } else {
    constexpr bool has_input = block || contract::input<L>, steps_back = contract::backward_input<L>,
                   has_weights_half = contract::backward_weight<L>;
    constexpr bool steps_forward = block ? contract::block_forward<L> : contract::layer_forward<L>;
    if constexpr (!has_input) {
      static_assert(
          has_input,
          "[tenon.layer_input] the layer has no place for its input, which the norm before it fills. Write in "
          "saved<T>: struct { rows<T, Hidden> in; ... } dw;");
    } else if constexpr (!steps_forward && block) {
      static_assert(
          steps_forward,
          "[tenon.block_forward] the block has no forward pass from one stream to the next. Write: forward<M>(x, "
          "batch, params, saved, in, out); a layer becomes part of a block through residual<Norm, Layer>");
    } else if constexpr (!steps_forward) {
      static_assert(
          steps_forward,
          "[tenon.layer_forward] the layer has no forward pass that adds to the stream. Write: template <mode M, "
          "class X, class T> static constexpr void forward(X& x, micro_batch const&, params<weights<T>> const&, "
          "saved<T> const&, rows<float, Hidden> stream)");
    } else if constexpr (!steps_back) {
      static_assert(
          steps_back,
          "[tenon.layer_backward_input] the layer's backward pass has no input half. Write: template <class X, "
          "class T> static constexpr void backward_input(X& x, micro_batch const&, params<weights<T>> const&, "
          "saved<T> const&, scratch const&, rows<float, Hidden> d_stream, rows<float, Hidden> d_in)");
    } else {
      static_assert(
          has_weights_half,
          "[tenon.layer_backward_weight] the layer's backward pass has no weight half. Write: template <class X, "
          "class T> static constexpr void backward_weight(X& x, micro_batch const&, params<gradients> const&, "
          "saved<T> const&)");
    }
  }
  return true;  // an assertion has said it otherwise
}

}  // namespace tenon::nn
