#pragma once
#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

namespace tenon::nn {

/// Gated feed-forward (Shazeer 2020, arXiv 2002.05202): y = down(silu(gate(x)) * up(x)), silu(z) = z / (1 + exp(-z)).
/// `Role`: of its matrices; those of routed experts are another.
template <int Hidden, int Intermediate, role Role = role::feed_forward>
struct swiglu {
  static constexpr int width = Hidden;

  template <class F>
  struct params {
    struct expand {
      typename F::template matrix<Intermediate, Hidden, Role, initializer::normal> weight;
    };
    struct contract {
      typename F::template matrix<Hidden, Intermediate, Role, initializer::normal_by_depth> weight;
    };
    expand gate_proj, up_proj;
    contract down_proj;
  };
  /// gate and up hold their own gradients once `backward_input` has used them.
  template <class T>
  struct saved_dx {
    rows<T, Intermediate> gate, up;
  };
  template <class T>
  struct saved_dw {
    rows<T, Hidden> in;
    rows<T, Intermediate> activated;  ///< silu(gate) * up
    backward_only<rows<T, Hidden>> d_out;
  };
  template <class T>
  struct saved {
    saved_dx<T> dx;
    saved_dw<T> dw;
  };
  struct scratch {
    rows<float, Intermediate> d_activated;
  };

  /// stream += y; `in` is saved.dw.in, written by the norm before.
  template <mode M, class X, class W, class T>
  [[gnu::always_inline]] static constexpr void forward(X& x, micro_batch const& b, params<W> const& p,
                                                       saved<T> const& s, rows<float, Hidden> const& stream) {
    auto const n = b.num_rows();
    x.linear(n, s.dw.in, p.gate_proj.weight, s.dx.gate);
    x.linear(n, s.dw.in, p.up_proj.weight, s.dx.up);
    x.swiglu(n, s.dx.gate, s.dx.up, s.dw.activated);
    x.linear_add(n, s.dw.activated, p.down_proj.weight, stream);
  }

  template <class X, class W, class T>
  [[gnu::always_inline]] static constexpr void backward_input(X& x, micro_batch const& b, params<W> const& p,
                                                              saved<T> const& s, scratch const& t,
                                                              rows<float, Hidden> const& d_stream,
                                                              rows<float, Hidden> const& d_in) {
    auto const n = b.num_rows();
    x.convert(n, d_stream, s.dw.d_out);
    x.linear_backward_input(n, s.dw.d_out, p.down_proj.weight, t.d_activated, 0.f);
    x.swiglu_backward(n, t.d_activated, s.dx.gate, s.dx.up);
    x.linear_backward_input(n, s.dx.gate, p.gate_proj.weight, d_in, 0.f);
    x.linear_backward_input(n, s.dx.up, p.up_proj.weight, d_in, 1.f);
  }

  template <class X, class G, class T>
  [[gnu::always_inline]] static constexpr void backward_weight(X& x, micro_batch const& b, params<G> const& g,
                                                               saved<T> const& s) {
    auto const n = b.num_rows();
    x.linear_backward_weight(n, s.dw.d_out, s.dw.activated, g.down_proj.weight);
    x.linear_backward_weight(n, s.dx.gate, s.dw.in, g.gate_proj.weight);
    x.linear_backward_weight(n, s.dx.up, s.dw.in, g.up_proj.weight);
  }
};

}  // namespace tenon::nn
