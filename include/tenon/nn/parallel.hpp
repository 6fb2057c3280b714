#pragma once
#include "tenon/nn/contract.hpp"
#include "tenon/nn/layout.hpp"

namespace tenon::nn {

/// Two layers side by side: both read one input and both add to the stream. Inside a `residual` that is
/// out = in + A(Norm(in)) + B(Norm(in)), as attention and feed-forward stand in the parallel block of PaLM (Chowdhery
/// et al. 2022, arXiv 2204.02311, section 2). A layer itself, so more than two nest. The input is in memory once.
/// `Names` spells the parameters of A and B as they are called on disk:
///
///     template <class F> struct names { attention::params<F> attn; feed_forward::params<F> mlp; };
template <template <class> class Names, class A, class B>
struct parallel {
  static_assert(require_layer<A>() && require_layer<B>());
  static constexpr int width = A::width;
  static_assert(B::width == width,
                "[tenon.parallel_width] layers side by side differ in width, and they work on one stream. Give them the same "
                "width");
  static_assert(
      num_fields<Names<described>> == 2,
      "[tenon.parallel_names] the names of two layers side by side are two groups of parameters, and the struct has "
      "another number. Write one for each, in their order");

  template <class F>
  using params = Names<F>;
  template <class T>
  struct saved {
    without_input<typename A::template saved<T>> a;
    without_input<typename B::template saved<T>> b;
    struct weight_half {
      rows<T, width> in;
    } dw;
  };
  struct scratch {
    typename A::scratch a;
    typename B::scratch b;
    rows<float, width> d_in;  ///< B's, until it is added to A's
  };

  template <mode M, class X, class T>
  static constexpr void forward(X& x, micro_batch const& b, params<weights<T>> const& p, saved<T> const& s,
                                rows<float, width> stream) {
    A::template forward<M>(x, b, field<0>(p), s.a.with(s.dw.in), stream);
    B::template forward<M>(x, b, field<1>(p), s.b.with(s.dw.in), stream);
  }

  template <class X, class T>
  static constexpr void backward_input(X& x, micro_batch const& b, params<weights<T>> const& p, saved<T> const& s,
                                       scratch const& t, rows<float, width> d_stream, rows<float, width> d_in) {
    A::backward_input(x, b, field<0>(p), s.a.with(s.dw.in), t.a, d_stream, d_in);
    B::backward_input(x, b, field<1>(p), s.b.with(s.dw.in), t.b, d_stream, t.d_in);
    x.rows(b.num_rows(), [&](auto first, auto last) {
      for (auto i = first * width; i < last * width; ++i) d_in.data[i] += t.d_in.data[i];
    });
  }

  template <class X, class T>
  static constexpr void backward_weight(X& x, micro_batch const& b, params<gradients> const& g, saved<T> const& s) {
    A::backward_weight(x, b, field<0>(g), s.a.with(s.dw.in));
    B::backward_weight(x, b, field<1>(g), s.b.with(s.dw.in));
  }
};

}  // namespace tenon::nn
