#pragma once
#include "tenon/nn/layout.hpp"
#include "tenon/nn/residual.hpp"

namespace tenon::nn {

/// The decisions of a block are those of its feed-forward, where that takes any.
template <class FeedForward>
struct decisions_of {};
template <class FeedForward>
requires requires { typename FeedForward::template kept<float>; }
struct decisions_of<FeedForward> {
  template <class T>
  using kept = typename FeedForward::template kept<T>;
  static constexpr void use_kept(auto& saved, auto const& decisions) { saved.feed_forward.inner.decisions = decisions; }
};

/// One block of a pre-norm decoder: attention, then feed-forward, each a residual branch. The field names of `params`
/// are the names of the tensors on disk.
template <class Norm, class Attention, class FeedForward>
struct decoder_block : decisions_of<FeedForward> {
  static constexpr int width = Attention::width;
  using attention_layer = Attention;
  using feed_forward_layer = FeedForward;
  using attend = residual<Norm, Attention>;
  using think = residual<Norm, FeedForward>;

  template <class F>
  struct params {
    typename Norm::template params<F> input_layernorm;
    typename Attention::template params<F> self_attn;
    typename Norm::template params<F> post_attention_layernorm;
    typename FeedForward::template params<F> mlp;
  };
  template <class T>
  struct saved {
    typename attend::template saved<T> attention;
    rows<float, width> middle;  ///< the stream between the two branches
    typename think::template saved<T> feed_forward;
  };
  template <class T>
  using cache = typename Attention::template cache<T>;
  struct scratch {
    rows<float, width> d_branch;
    typename Attention::scratch attention;  // not over the same memory: rows of another width would cross members
    typename FeedForward::scratch feed_forward;
  };

  template <mode M, class X, class W, class T>
  [[gnu::always_inline]] static constexpr void forward(X& x, micro_batch const& b, params<W> const& p,
                                                       saved<T> const& s, rows<float, width> const& in,
                                                       rows<float, width> const& out) {
    attend::template forward<M>(x, b, p.input_layernorm, p.self_attn, s.attention, in, s.middle);
    think::template forward<M>(x, b, p.post_attention_layernorm, p.mlp, s.feed_forward, s.middle, out);
  }

  template <class X, class W, class T>
  [[gnu::always_inline]] static constexpr void backward_input(X& x, micro_batch const& b, params<W> const& p,
                                                              saved<T> const& s, scratch const& t,
                                                              rows<float, width> const& in,
                                                              rows<float, width> const& d_stream) {
    think::backward_input(x, b, p.post_attention_layernorm, p.mlp, s.feed_forward, t.feed_forward, t.d_branch, s.middle,
                          d_stream);
    attend::backward_input(x, b, p.input_layernorm, p.self_attn, s.attention, t.attention, t.d_branch, in, d_stream);
  }

  template <class X, class G, class T>
  [[gnu::always_inline]] static constexpr void backward_weight(X& x, micro_batch const& b, params<G> const& g,
                                                               saved<T> const& s) {
    x.barrier();  // a weight's gradient reads the rows of every member
    think::backward_weight(x, b, g.post_attention_layernorm, g.mlp, s.feed_forward);
    attend::backward_weight(x, b, g.input_layernorm, g.self_attn, s.attention);
    x.barrier();
  }

  /// Once per optimizer step, when `g` holds the whole step's sums over micro-batches and ranks.
  template <class X, class W, class G>
  static constexpr void end_of_step(X& x, params<W> const& p, params<G> const& g,
                                    bias_rule const& rule) {
    if constexpr (requires { FeedForward::end_of_step(x, p.mlp, g.mlp, rule); })
      FeedForward::end_of_step(x, p.mlp, g.mlp, rule);
  }
};

}  // namespace tenon::nn
