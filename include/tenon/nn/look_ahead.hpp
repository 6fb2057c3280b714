#pragma once
#include "tenon/nn/embedding.hpp"
#include "tenon/nn/layout.hpp"

namespace tenon::nn {

/// One module of multi-token prediction (DeepSeek-V3, arXiv 2412.19437, section 2.2, equations 21 to 23). Where the rows
/// before it predict the next token, its rows predict the one after that, out of what those rows are and of the token that
/// they are to predict:
///   h' = eh_proj [enorm(embedding of that token) | hnorm(h)]        h = shared_head.norm(Block(h'))
/// The published weights have the embedding first, equation 21 prints it second. `h` of the first module is what the
/// model's head reads, behind the last norm, as in transformers and vLLM; of a later module what the one before it gives.
/// Embedding and head are the model's own.
///
/// Rows whose further token is not in their document have no target. They are the last of it, so no other row attends to
/// them; a router counts them like any row.
template <int Vocab, class Norm, class Block>
struct look_ahead {
  static constexpr int width = Block::width;
  using table_layer = embedding<Vocab, width>;

  template <class F>
  struct combining {
    typename F::template matrix<width, 2 * width, role::hidden, initializer::normal> weight;
  };
  template <class F>
  struct own_head {
    typename Norm::template params<F> norm;
  };
  /// The block's fields stand beside the module's own, as on disk.
  template <class F>
  struct params {
    typename Norm::template params<F> enorm, hnorm;
    combining<F> eh_proj;
    typename Norm::template params<F> input_layernorm;
    typename Block::attention_layer::template params<F> self_attn;
    typename Norm::template params<F> post_attention_layernorm;
    typename Block::feed_forward_layer::template params<F> mlp;
    own_head<F> shared_head;
  };
  template <class T>
  struct saved {
    rows<std::int32_t, 1> tokens, targets;  ///< of each row: the token it is given, and the one it predicts or -1
    rows<float, width> embedded, before;    ///< what the two norms read
    typename Norm::template saved<T> enorm, hnorm;
    rows<T, 2 * width> joined;
    rows<float, width> in;  ///< the block's stream
    typename Block::template saved<T> block;
    rows<float, width> out;  ///< behind the block
    typename Norm::template saved<T> norm;
    rows<T, width> normed;     ///< what the head reads
    per_tile<double, 1> loss;  ///< as the head's own
    backward_only<rows<T, width>> d_in;
  };
  struct scratch {
    rows<float, width> d_half;
    rows<float, 2 * width> d_joined;
  };

  /// The micro-batch as this module sees it, once `forward` has run.
  template <class T>
  static constexpr micro_batch batch_of(micro_batch b, saved<T> const& s) {
    b.tokens = s.tokens.data, b.targets = s.targets.data;
    return b;
  }

  /// `b`: as the rows before see it. `before`: what the head reads of them.
  template <class X, class T>
  static constexpr void forward(X& x, micro_batch const& b, auto const& p, auto const& table, saved<T> const& s,
                                rows<T, width> before) {
    auto const n = b.num_rows();
    x.next_row(b, s.tokens, s.targets);
    micro_batch const ahead = batch_of(b, s);
    table_layer::forward(x, ahead, table, s.embedded);
    Norm::forward(x, ahead, p.enorm, s.enorm, s.embedded, s.normed);
    x.template place<0>(n, s.normed, s.joined);
    x.widen(n, before, s.before);
    Norm::forward(x, ahead, p.hnorm, s.hnorm, s.before, s.normed);
    x.template place<1>(n, s.normed, s.joined);
    x.linear(n, s.joined, p.eh_proj.weight, s.in);
    Block::template forward<mode::train>(x, ahead, block_of(p), s.block, s.in, s.out);
    Norm::forward(x, ahead, p.shared_head.norm, s.norm, s.out, s.normed);
    x.barrier();  // the head's chunks and the next module read other members' rows
  }

  /// `d_normed`: gradient of what the head and a further module have read. The rows' before is added to `d_before`, the
  /// table's to `table`. `d_stream`: memory that means nothing, before or after.
  template <class X, class T>
  static constexpr void backward(X& x, micro_batch const& b, auto const& p, auto const& g, auto const& table, saved<T> const& s,
                                 scratch const& t, typename Block::scratch const& of_block, rows<float, width> d_stream,
                                 rows<float, width> d_normed, rows<float, width> d_before) {
    auto const n = b.num_rows();
    micro_batch const ahead = batch_of(b, s);
    x.zero(n, d_stream);
    Norm::backward_input(x, ahead, p.shared_head.norm, s.norm, s.out, d_normed, d_stream);
    Block::backward_input(x, ahead, block_of(p), s.block, of_block, s.in, d_stream);
    Block::backward_weight(x, ahead, block_of(g), s.block);
    x.convert(n, d_stream, s.d_in);
    x.linear_backward_input(n, s.d_in, p.eh_proj.weight, t.d_joined, 0.f);
    x.template take<1>(n, t.d_joined, t.d_half);
    Norm::backward_input(x, ahead, p.hnorm, s.hnorm, s.before, t.d_half, d_before);
    x.template take<0>(n, t.d_joined, t.d_half);
    x.zero(n, d_stream);
    Norm::backward_input(x, ahead, p.enorm, s.enorm, s.embedded, t.d_half, d_stream);
    x.barrier();
    x.linear_backward_weight(n, s.d_in, s.joined, g.eh_proj.weight);
    Norm::backward_weight(x, ahead, g.enorm, s.enorm);
    Norm::backward_weight(x, ahead, g.hnorm, s.hnorm);
    Norm::backward_weight(x, ahead, g.shared_head.norm, s.norm);
    table_layer::backward_weight(x, ahead, table, d_stream);
  }

  template <class X>
  static constexpr void end_of_step(X& x, auto const& p, auto const& g, bias_rule const& rule) {
    Block::end_of_step(x, block_of(p), block_of(g), rule);
  }

 private:
  template <class F>
  static constexpr typename Block::template params<F> block_of(params<F> const& p) {
    return {p.input_layernorm, p.self_attn, p.post_attention_layernorm, p.mlp};
  }
};

}  // namespace tenon::nn
