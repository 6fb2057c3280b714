#pragma once
#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

namespace tenon::nn {

/// Pre-norm residual branch: out = in + Inner(Norm(in)). The stream and its gradient are fp32; what happens inside the
/// branch is in the compute dtype. `Norm` and `Inner` keep their own parameters, so that a block can name them as it
/// likes.
///
/// The gradient of the stream is one buffer, updated in place on the way back: d(in) = d(out) + Norm'(Inner'(d(out))).
template <class Norm, class Inner>
struct residual {
  static constexpr int width = Inner::width;
  using scratch = typename Inner::scratch;

  template <class T>
  struct saved {
    typename Norm::template saved<T> norm;
    typename Inner::template saved<T> inner;
  };

  /// `norm`, `inner`: their params, of whatever family of weights the store lends.
  template <mode M, class X, class T>
  [[gnu::always_inline]] static constexpr void forward(X& x, micro_batch const& b, auto const& norm, auto const& inner,
                                                       saved<T> const& s, rows<float, width> const& in,
                                                       rows<float, width> const& out) {
    Norm::forward(x, b, norm, s.norm, in, s.inner.dw.in);
    x.copy(b.num_rows(), in, out);
    Inner::template forward<M>(x, b, inner, s.inner, out);
  }

  template <class X, class T>
  [[gnu::always_inline]] static constexpr void backward_input(X& x, micro_batch const& b, auto const& norm,
                                                              auto const& inner, saved<T> const& s,
                                                              typename Inner::scratch const& scratch,
                                                              rows<float, width> const& d_branch,
                                                              rows<float, width> const& in,
                                                              rows<float, width> const& d_stream) {
    Inner::backward_input(x, b, inner, s.inner, scratch, d_stream, d_branch);
    Norm::backward_input(x, b, norm, s.norm, in, d_branch, d_stream);
  }

  template <class X, class T>
  [[gnu::always_inline]] static constexpr void backward_weight(X& x, micro_batch const& b, auto const& norm,
                                                               auto const& inner, saved<T> const& s) {
    Inner::backward_weight(x, b, inner, s.inner);
    Norm::backward_weight(x, b, norm, s.norm);
  }
};

}  // namespace tenon::nn
