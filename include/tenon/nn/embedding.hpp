#pragma once
#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

namespace tenon::nn {

/// Token embedding: row `token` of the table, widened to fp32, starts the residual stream.
template <int Vocab, int Hidden>
struct embedding {
  static constexpr int width = Hidden;

  template <class F>
  struct params {
    typename F::template matrix<Vocab, Hidden, role::embedding, initializer::normal> weight;
  };

  template <class X, class W>
  [[gnu::always_inline]] static constexpr void forward(X& x, micro_batch const& b, params<W> const& p,
                                                       rows<float, Hidden> const& stream) {
    x.embedding(b, p.weight, stream);
  }

  /// A writer that touches only the rows of tokens that occur: when it is the first writer it clears the others.
  template <class X, class G>
  [[gnu::always_inline]] static constexpr void backward_weight(X& x, micro_batch const& b, params<G> const& g,
                                                               rows<float, Hidden> const& d_stream) {
    x.barrier();
    x.embedding_backward(b, d_stream, g.weight);
    x.barrier();
  }
};

}  // namespace tenon::nn
