#pragma once
#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

namespace tenon::nn {

/// Causal grouped-query attention with rotary positions (Su et al. 2021, arXiv 2104.09864; Ainslie et al. 2023, arXiv
/// 2305.13245): `Heads` query heads share `KvHeads` key/value heads. The rotary form is the half-split one of llama's
/// checkpoints. Scores are scaled by 1/sqrt(head_dim); a row attends to its own document only.
/// Used inside `residual`: it adds to the stream and finds its input where the norm before has written it.
template <int Hidden, int Heads, int KvHeads>
struct attention {
  static constexpr int width = Hidden, head_dim = Hidden / Heads, kv_width = KvHeads * head_dim;
  static_assert(head_dim * Heads == Hidden && Heads % KvHeads == 0 && head_dim % 2 == 0,
                "[tenon.attention] heads of attention do not work out: they must divide the hidden width, kv heads divide the "
                "heads, and a head be evenly wide. Write attention<64, 4, 2>, or other such numbers");

  template <class F>
  struct linear {
    template <int Out, int In, initializer Init = initializer::normal>
    struct of {
      typename F::template matrix<Out, In, role::attention, Init> weight;
    };
  };
  template <class F>
  struct params {
    typename linear<F>::template of<Hidden, Hidden> q_proj;
    typename linear<F>::template of<kv_width, Hidden> k_proj;
    typename linear<F>::template of<kv_width, Hidden> v_proj;
    typename linear<F>::template of<Hidden, Hidden, initializer::normal_by_depth> o_proj;
  };

  /// For the input half. The halves share memory where one replaces the other: q, k and v hold their own gradients once
  /// `backward_input` has used them.
  template <class T>
  struct saved_dx {
    rows<T, Hidden> q;                              ///< after the rotation
    backward_only<rows<float, Heads>> log_sum_exp;  ///< of each head's scores
  };
  /// For the weight half.
  template <class T>
  struct saved_dw {
    rows<T, Hidden> in;
    rows<T, Hidden> mixed;  ///< attention's output, before o_proj
    backward_only<rows<T, Hidden>> d_out;
  };
  /// Keys and values: of the micro-batch in training, of the whole text so far in decoding.
  template <class T>
  struct cache {
    rows<T, kv_width> k;  ///< after the rotation
    rows<T, kv_width> v;
  };
  template <class T>
  struct saved {
    saved_dx<T> dx;
    cache<T> kv;
    saved_dw<T> dw;
  };
  struct scratch {
    rows<float, Hidden> d_mixed;
  };

  /// Where the batch's keys and values go: behind those of the text so far, if there are any.
  template <mode M, class T>
  [[gnu::always_inline]] static constexpr decltype(auto) next(micro_batch const& b, cache<T> const& kv) {
    if constexpr (M == mode::decode)
      return cache<T>{{kv.k.row(b.past)}, {kv.v.row(b.past)}};
    else
      return (kv);
  }

  /// stream += o_proj(attention(in)); `in` is saved.dw.in, written by the norm before.
  template <mode M, class X, class W, class T>
  [[gnu::always_inline]] static constexpr void forward(X& x, micro_batch const& b, params<W> const& p,
                                                       saved<T> const& s, rows<float, Hidden> const& stream) {
    auto const n = b.num_rows();
    auto const& [k, v] = next<M>(b, s.kv);
    x.linear(n, s.dw.in, p.q_proj.weight, s.dx.q);
    x.linear(n, s.dw.in, p.k_proj.weight, k);
    x.linear(n, s.dw.in, p.v_proj.weight, v);
    x.template rotary<head_dim>(b, s.dx.q, +1);
    x.template rotary<head_dim>(b, k, +1);
    x.barrier();  // keys and values of other members' rows
    x.template attention<Heads, KvHeads>(b, s.dx.q, s.kv.k, s.kv.v, s.dw.mixed, s.dx.log_sum_exp);
    x.barrier();
    x.linear_add(n, s.dw.mixed, p.o_proj.weight, stream);
  }

  /// d_in = gradient with respect to `in`, given that of the stream.
  template <class X, class W, class T>
  [[gnu::always_inline]] static constexpr void backward_input(X& x, micro_batch const& b, params<W> const& p,
                                                              saved<T> const& s, scratch const& t,
                                                              rows<float, Hidden> const& d_stream,
                                                              rows<float, Hidden> const& d_in) {
    auto const n = b.num_rows();
    x.convert(n, d_stream, s.dw.d_out);
    x.linear_backward_input(n, s.dw.d_out, p.o_proj.weight, t.d_mixed, 0.f);
    x.barrier();
    x.template attention_backward<Heads, KvHeads>(b, s.dx.q, s.kv.k, s.kv.v, s.dw.mixed, s.dx.log_sum_exp, t.d_mixed);
    x.barrier();
    x.template rotary<head_dim>(b, s.dx.q, -1);  // a rotation's transpose is the rotation back
    x.template rotary<head_dim>(b, s.kv.k, -1);
    x.linear_backward_input(n, s.dx.q, p.q_proj.weight, d_in, 0.f);
    x.linear_backward_input(n, s.kv.k, p.k_proj.weight, d_in, 1.f);
    x.linear_backward_input(n, s.kv.v, p.v_proj.weight, d_in, 1.f);
  }

  template <class X, class G, class T>
  [[gnu::always_inline]] static constexpr void backward_weight(X& x, micro_batch const& b, params<G> const& g,
                                                               saved<T> const& s) {
    auto const n = b.num_rows();
    x.linear_backward_weight(n, s.dw.d_out, s.dw.mixed, g.o_proj.weight);
    x.linear_backward_weight(n, s.dx.q, s.dw.in, g.q_proj.weight);
    x.linear_backward_weight(n, s.kv.k, s.dw.in, g.k_proj.weight);
    x.linear_backward_weight(n, s.kv.v, s.dw.in, g.v_proj.weight);
  }
};

}  // namespace tenon::nn
