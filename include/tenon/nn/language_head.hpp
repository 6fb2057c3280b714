#pragma once
#include <algorithm>
#include <type_traits>

#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

namespace tenon::nn {

/// Final norm, projection to the vocabulary and next-token cross-entropy, without ever holding all logits: rows go
/// through in chunks, and because the loss's seed (scale * weight / count) is known before the forward pass, a chunk's
/// logits turn into their own gradient on the spot.
///
/// The projection's matrix is a parameter of its own (untied) or the embedding's (tied); the model passes it in.
/// Loss: sum over rows with a target of -log softmax(logits)[target], in fp32; the sum over rows in fp64.
template <int Vocab, int Hidden, class Norm>
struct language_head {
  static constexpr int width = Hidden, vocab = Vocab;
  /// At most 64 MiB of fp32 logits. Not fewer rows: each chunk reads and writes the projection's whole gradient once.
  static constexpr int chunk = std::clamp((1 << 24) / Vocab / 64 * 64, 64, 1024);

  template <class F>
  using matrix = typename F::template matrix<Vocab, Hidden, role::embedding, initializer::normal>;

  /// `Rows`: of logits at a time; one is enough where no loss is taken.
  template <class T, int Rows = chunk>
  struct saved {
    rows<float, Hidden> in;  ///< the stream after the last block
    typename Norm::template saved<T> norm;
    rows<T, Hidden> normed;
    block<float, Rows, Vocab> logits;
    backward_only<block<T, std::is_same_v<T, float> ? 0 : Rows, Vocab>>
        d_logits;              ///< fp32: the gradient replaces the logits
    per_tile<double, 1> loss;  ///< sum of -log p in this step, by tiles of rows
  };

  template <class T>
  [[gnu::always_inline]] static constexpr rows<T, Vocab> gradient_of(saved<T> const& s) {
    if constexpr (std::is_same_v<T, float>)
      return {s.logits.data};
    else
      return {s.d_logits.data};
  }

  template <class T, int Rows>
  [[gnu::always_inline]] static constexpr per_tile<double, 1> loss_from(saved<T, Rows> const& s, std::int64_t row) {
    static_assert(Rows % row_tile == 0, "[tenon.head_rows] the head takes rows of a loss that are no whole tiles, and sums are kept by tile. Write "
                  "saved<T, Rows> with a multiple of nn::row_tile");
    return {s.loss.row(row / row_tile)};
  }

  template <class X, class T, int Rows>
  [[gnu::always_inline]] static constexpr void normalise(X& x, micro_batch const& b, auto const& norm,
                                                         saved<T, Rows> const& s) {
    Norm::forward(x, b, norm, s.norm, s.in, s.normed);
    x.barrier();  // chunks are divided among the members in another way than the whole micro-batch
  }

  /// Forward only: adds each row's -log p to the loss.
  template <class X, class T, int Rows>
  static constexpr void loss(X& x, micro_batch const& b, auto const& projection, saved<T, Rows> const& s) {
    for (std::int64_t first = 0; first < b.num_rows(); first += Rows) {
      auto const n = std::min<std::int64_t>(Rows, b.num_rows() - first);
      x.linear(n, rows<T, Hidden>{s.normed.row(first)}, projection, rows<float, Vocab>{s.logits.data});
      x.cross_entropy(n, rows<float, Vocab>{s.logits.data}, advance(b.targets, first), loss_from(s, first));
      x.barrier();  // a shorter last chunk is divided in another way
    }
  }

  /// Forward and backward: adds to the loss, writes d_normed and the projection's gradient. `projection` and `sink` are a
  /// `matrix` of the families that the store lends.
  template <class X, class T>
  [[gnu::always_inline]] static constexpr void loss_and_gradient(X& x, micro_batch const& b, auto const& projection,
                                                                 auto sink, saved<T> const& s, float seed,
                                                                 rows<float, Hidden> const& d_normed) {
    for (std::int64_t first = 0; first < b.num_rows(); first += chunk) {
      auto const n = std::min<std::int64_t>(chunk, b.num_rows() - first);
      rows<T, Hidden> const in{s.normed.row(first)};
      rows<float, Vocab> const logits{s.logits.data};
      auto const d_logits = gradient_of(s);
      x.linear(n, in, projection, logits);
      x.cross_entropy_gradient(n, logits, advance(b.targets, first), seed, d_logits, loss_from(s, first));
      x.linear_backward_input(n, d_logits, projection, rows<float, Hidden>{d_normed.row(first)}, 0.f);
      x.barrier();
      x.linear_backward_weight(n, d_logits, in, sink);
      x.barrier();
      sink.beta = 1;  // later chunks add
    }
  }
};

}  // namespace tenon::nn
