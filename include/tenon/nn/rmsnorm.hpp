#pragma once
#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

namespace tenon::nn {

/// Root-mean-square norm (Zhang and Sennrich 2019, arXiv 1910.07467): y = w * x / sqrt(mean(x^2) + epsilon).
/// In: fp32 `rows x Hidden` (the residual stream). Out: the compute dtype, because a GEMM reads it next.
template <int Hidden, std::uint32_t EpsilonBits>
struct rmsnorm {
  static constexpr int width = Hidden;
  static constexpr float epsilon = number(EpsilonBits);

  template <class F>
  struct params {
    typename F::template matrix<1, Hidden, role::norm, initializer::ones, 1> weight;
  };
  template <class T>
  struct saved {
    backward_only<rows<float, 1>> inverse_rms;
    backward_only<per_tile<float, Hidden>> d_weight;  ///< partial sums of the weight's gradient
  };

  template <class X, class W, class T>
  [[gnu::always_inline]] static constexpr void forward(X& x, micro_batch const& b, params<W> const& p,
                                                       saved<T> const& s, rows<float, Hidden> const& in,
                                                       rows<T, Hidden> const& out) {
    x.rmsnorm(b.num_rows(), in, p.weight, out, s.inverse_rms, epsilon);
  }

  /// d_stream += gradient with respect to `in`; the weight's partial sums go to `saved`.
  template <class X, class W, class T>
  [[gnu::always_inline]] static constexpr void backward_input(X& x, micro_batch const& b, params<W> const& p,
                                                              saved<T> const& s, rows<float, Hidden> const& in,
                                                              rows<float, Hidden> const& d_out,
                                                              rows<float, Hidden> const& d_stream) {
    x.rmsnorm_backward(b.num_rows(), in, p.weight, s.inverse_rms, d_out, d_stream, s.d_weight);
  }

  template <class X, class G, class T>
  [[gnu::always_inline]] static constexpr void backward_weight(X& x, micro_batch const& b, params<G> const& g,
                                                               saved<T> const& s) {
    x.add_tiles(b.num_rows(), g.weight, s.d_weight);
  }
};

}  // namespace tenon::nn
