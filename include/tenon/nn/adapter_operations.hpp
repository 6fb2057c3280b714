#pragma once
#include "tenon/nn/context.hpp"
#include "tenon/nn/dtype.hpp"
#include "tenon/nn/training.hpp"

namespace tenon::nn {

/// Operations on weights that are frozen, alone or with an adapter, made of an executor's own products. An executor `X`
/// inherits this and takes the names over (`using adapter_operations<X>::linear;` and so on).
///
/// down x is computed again for each gradient: it costs Low / Rows of the product and saves its memory. The scale is
/// applied to the Low wide rows.
template <class X>
class adapter_operations {
 public:
  template <class T, class Out, int N, int K, role R, initializer I, int L>
  constexpr void linear(std::int64_t n, rows<T, K> in, adapted<T, N, K, R, I, L> const& w, rows<Out, N> out) {
    self().linear(n, in, w.frozen, out);
    lower(n, in, w.adapter.down, w.low, w.scale);
    if constexpr (std::is_same_v<Out, float>) {
      self().linear_add(n, w.low, w.adapter.up, out);
    } else {
      rows<float, N> const wide{w.wide};
      self().linear(n, w.low, w.adapter.up, wide);
      self().barrier();  // a product over few rows divides its columns
      self().rows(n, [&](auto first, auto last) {
        Out* const to = out.data;
        for (auto i = first * N; i < last * N; ++i) to[i] = narrow<Out>(widen(to[i]) + wide.data[i]);
      });
      self().barrier();
    }
  }
  template <class T, int N, int K, role R, initializer I, int L>
  constexpr void linear_add(std::int64_t n, rows<T, K> in, adapted<T, N, K, R, I, L> const& w, rows<float, N> stream) {
    self().linear_add(n, in, w.frozen, stream);
    lower(n, in, w.adapter.down, w.low, w.scale);
    self().linear_add(n, w.low, w.adapter.up, stream);
  }
  /// d_in = beta d_in + d_out W + scale (d_out up) down.
  template <class T, int N, int K, role R, initializer I, int L>
  constexpr void linear_backward_input(std::int64_t n, rows<T, N> d_out, adapted<T, N, K, R, I, L> const& w,
                                       rows<float, K> d_in, float beta) {
    self().linear_backward_input(n, d_out, w.frozen, d_in, beta);
    raise(n, d_out, w.adapter.up, w.low, w.d_low, w.scale);
    self().linear_backward_input(n, w.low, w.adapter.down, d_in, 1.f);
  }
  /// d_up = d_out^T (scale down in), d_down = (scale d_out up)^T in. Reads all members' rows.
  template <class T, int N, int K, int L>
  constexpr void linear_backward_weight(std::int64_t n, rows<T, N> d_out, rows<T, K> in,
                                        adapted_gradient<T, N, K, L> const& g) {
    lower(n, in, g.values.down, g.low, g.scale);
    self().barrier();
    self().linear_backward_weight(n, d_out, g.low, g.adapter.up);
    raise(n, d_out, g.values.up, g.low, g.d_low, g.scale);
    self().barrier();
    self().linear_backward_weight(n, g.low, in, g.adapter.down);
    self().barrier();  // `low` belongs to the next operation
  }

  // A frozen parameter has no gradient.
  template <class T, int N, int K, role R, initializer I, int D>
  constexpr void linear_backward_weight(std::int64_t, rows<T, N>, rows<T, K>, untrained<N, K, R, I, D> const&) {}
  template <int N, role R, initializer I, int D>
  constexpr void add_tiles(std::int64_t, untrained<1, N, R, I, D> const&, per_tile<float, N>) {}
  template <int V, int N, role R, initializer I, int D>
  constexpr void embedding_backward(micro_batch const&, rows<float, N>, untrained<V, N, R, I, D> const&) {}
  template <class T, int N, int K, int E, role R, initializer I, int D>
  constexpr void expert_linear_backward_weight(std::int64_t, block<std::int32_t, 1, E>, rows<T, N>, rows<T, K>,
                                               stack<untrained<N, K, R, I, D>> const&) {}

 private:
  constexpr X& self() { return static_cast<X&>(*this); }
  /// low = scale down in.
  template <class T, int K, class W, int L>
  constexpr void lower(std::int64_t n, rows<T, K> in, W const& down, rows<T, L> low, float scale) {
    self().barrier();  // the operation before may still read `low`
    self().linear(n, in, down, low);
    self().barrier();
    self().rows(n, [&](auto first, auto last) {
      for (auto i = first * L; i < last * L; ++i) low.data[i] = narrow<T>(widen(low.data[i]) * scale);
    });
    self().barrier();
  }
  /// low = scale d_out up.
  template <class T, int N, class W, int L>
  constexpr void raise(std::int64_t n, rows<T, N> d_out, W const& up, rows<T, L> low, rows<float, L> d_low,
                       float scale) {
    self().barrier();
    self().linear_backward_input(n, d_out, up, d_low, 0.f);
    self().barrier();
    self().rows(n, [&](auto first, auto last) {
      for (auto i = first * L; i < last * L; ++i) low.data[i] = narrow<T>(d_low.data[i] * scale);
    });
    self().barrier();
  }
};

}  // namespace tenon::nn
