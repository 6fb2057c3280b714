#pragma once
#include "tenon/nn/context.hpp"
#include "tenon/nn/rmsnorm.hpp"
#include "tenon/nn/views.hpp"

namespace tenon::nn {

/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1). Keys and values of all heads come out of
/// one latent row of width `Rank`; a key is [Nope wide part of its head | Turned wide rotated part shared by all heads],
/// a value is `Value` wide. Queries are projected directly, or through a latent of their own where `QueryRank` > 0.
/// The rotation turns neighbours (2j, 2j + 1). Scores are scaled by ScoreFactor / sqrt(Nope + Turned).
/// The norms of the latents have an epsilon of 1e-6 whatever the model's is, as in DeepSeek's code and transformers.
///
/// Training expands the latents into keys and values; decoding caches the latent and the shared key alone, and applies
/// the expanding matrix to queries and results instead (the paper's "absorption").
/// Used inside `residual`: it adds to the stream and finds its input where the norm before has written it.
template <int Hidden, int Heads, int QueryRank, int Rank, int Nope, int Turned, int Value,
          std::uint32_t ScoreFactorBits = bits(1.0)>
struct latent_attention {
  static constexpr int width = Hidden, key_dim = Nope + Turned;
  static constexpr int q_width = Heads * key_dim, kv_width = Heads * (Nope + Value), out_width = Heads * Value;
  static constexpr float score_factor = number(ScoreFactorBits);
  static_assert(Hidden > 0 && Heads > 0 && QueryRank >= 0 && Rank > 0 && Nope > 0 && Value > 0 && Turned > 0 &&
                    Turned % 2 == 0,
                "[tenon.latent_attention] a width of latent attention is not positive, or the rotated one is odd, and it turns "
                "pairs of channels. Give positive widths, and an even one for the rotated part");
  using latent_norm = rmsnorm<Rank, bits(1e-6)>;
  using query_norm = rmsnorm<QueryRank == 0 ? 1 : QueryRank, bits(1e-6)>;

  template <class F, int Out, int In, initializer Init = initializer::normal>
  struct projection {
    typename F::template matrix<Out, In, role::attention, Init> weight;
  };
  template <class F>
  using output = projection<F, Hidden, out_width, initializer::normal_by_depth>;
  template <class F>
  struct direct_params {
    projection<F, q_width, Hidden> q_proj;
    projection<F, Rank + Turned, Hidden> kv_a_proj_with_mqa;
    typename latent_norm::template params<F> kv_a_layernorm;
    projection<F, kv_width, Rank> kv_b_proj;
    output<F> o_proj;
  };
  template <class F>
  struct compressed_params {
    projection<F, QueryRank, Hidden> q_a_proj;
    typename query_norm::template params<F> q_a_layernorm;
    projection<F, q_width, QueryRank> q_b_proj;
    projection<F, Rank + Turned, Hidden> kv_a_proj_with_mqa;
    typename latent_norm::template params<F> kv_a_layernorm;
    projection<F, kv_width, Rank> kv_b_proj;
    output<F> o_proj;
  };
  template <class F>
  using params = std::conditional_t<QueryRank == 0, direct_params<F>, compressed_params<F>>;

  /// The query's own latent.
  template <class T>
  struct compressed_query {
    rows<float, QueryRank> latent;  ///< before its norm
    typename query_norm::template saved<T> norm;
    rows<T, QueryRank> normed;
    backward_only<rows<T, QueryRank>> d_latent;
  };
  struct no_query {};
  /// For the input half. q, k, kv and the cache's shared key hold their own gradients once `backward_input` has used
  /// them.
  template <class T>
  struct saved_dx {
    rows<T, q_width> q, k;  ///< after the rotation
    rows<T, kv_width> kv;   ///< of each head [key without rotation | value]
    backward_only<rows<float, Heads>> log_sum_exp;
    rows<float, Rank> latent;  ///< before its norm
    typename latent_norm::template saved<T> norm;
    std::conditional_t<QueryRank == 0, no_query, compressed_query<T>> query;
  };
  /// For the weight half.
  template <class T>
  struct saved_dw {
    rows<T, Hidden> in;
    rows<T, out_width> mixed;  ///< attention's output, before o_proj
    backward_only<rows<T, Hidden>> d_out;
    backward_only<rows<T, Rank>> d_latent;
  };
  /// What is kept of a text: Rank + Turned values a row, for all heads together.
  template <class T>
  struct cache {
    rows<T, Rank> latent;        ///< after its norm
    rows<T, Turned> shared_key;  ///< after the rotation
  };
  template <class T>
  struct saved {
    saved_dx<T> dx;
    cache<T> kv;
    saved_dw<T> dw;
  };
  struct scratch {
    rows<float, out_width> d_mixed;
    rows<float, Rank> d_normed, d_latent;
    rows<float, QueryRank> d_query_normed, d_query_latent;
  };

  /// stream += o_proj(attention(in)); `in` is saved.dw.in, written by the norm before. `p` here and below: `params` of
  /// whatever family the store lends (an alias, so not deduced by its name).
  template <mode M, class X, class T>
  static constexpr void forward(X& x, micro_batch const& b, auto const& p, saved<T> const& s,
                                rows<float, Hidden> stream) {
    auto const n = b.num_rows();
    rows<T, Rank> const latent{s.kv.latent.row(b.past)};  // past is 0 unless decoding
    rows<T, Turned> const shared{s.kv.shared_key.row(b.past)};
    if constexpr (QueryRank > 0) {
      auto const& q = s.dx.query;
      x.linear(n, s.dw.in, p.q_a_proj.weight, q.latent);
      query_norm::forward(x, b, p.q_a_layernorm, q.norm, q.latent, q.normed);
      x.linear(n, q.normed, p.q_b_proj.weight, s.dx.q);
    } else {
      x.linear(n, s.dw.in, p.q_proj.weight, s.dx.q);
    }
    x.linear(n, s.dw.in, outputs<0, Rank>(p.kv_a_proj_with_mqa.weight), s.dx.latent);
    x.linear(n, s.dw.in, outputs<Rank, Turned>(p.kv_a_proj_with_mqa.weight), shared);
    latent_norm::forward(x, b, p.kv_a_layernorm, s.dx.norm, s.dx.latent, latent);
    x.template rotary_pairs<key_dim, Turned>(b, s.dx.q, +1);
    x.template rotary_pairs<Turned, Turned>(b, shared, +1);
    if constexpr (M == mode::decode) {
      x.keep_latents(b, s.kv.latent, s.kv.shared_key);
      x.barrier();  // latents of other members' rows
      x.template latent_decode<Heads, Nope, Turned, Value>(b, s.dx.q, p.kv_b_proj.weight, s.kv.latent, s.kv.shared_key,
                                                           s.dw.mixed, score_factor);
    } else {
      x.linear(n, latent, p.kv_b_proj.weight, s.dx.kv);
      x.template latent_keys<Heads, Nope, Turned, Value>(n, s.dx.kv, shared, s.dx.k);
      x.barrier();  // keys and values of other members' rows
      x.template latent_attention<Heads, Nope, Turned, Value>(b, s.dx.q, s.dx.k, s.dx.kv, s.dw.mixed,
                                                              s.dx.log_sum_exp, score_factor);
    }
    x.barrier();
    x.linear_add(n, s.dw.mixed, p.o_proj.weight, stream);
  }

  /// d_in = gradient with respect to `in`, given that of the stream.
  template <class X, class T>
  static constexpr void backward_input(X& x, micro_batch const& b, auto const& p, saved<T> const& s,
                                       scratch const& t, rows<float, Hidden> d_stream, rows<float, Hidden> d_in) {
    auto const n = b.num_rows();
    x.convert(n, d_stream, s.dw.d_out);
    x.linear_backward_input(n, s.dw.d_out, p.o_proj.weight, t.d_mixed, 0.f);
    x.barrier();
    x.template latent_attention_backward<Heads, Nope, Turned, Value>(
        b, s.dx.q, s.dx.k, s.dx.kv, s.dw.mixed, s.dx.log_sum_exp, t.d_mixed, score_factor);
    x.barrier();
    x.template latent_keys_backward<Heads, Nope, Turned, Value>(n, s.dx.k, s.dx.kv, s.kv.shared_key);
    x.template rotary_pairs<key_dim, Turned>(b, s.dx.q, -1);  // a rotation's transpose is the rotation back
    x.template rotary_pairs<Turned, Turned>(b, s.kv.shared_key, -1);

    x.linear_backward_input(n, s.dx.kv, p.kv_b_proj.weight, t.d_normed, 0.f);
    x.zero(n, t.d_latent);
    latent_norm::backward_input(x, b, p.kv_a_layernorm, s.dx.norm, s.dx.latent, t.d_normed, t.d_latent);
    x.convert(n, t.d_latent, s.dw.d_latent);
    x.linear_backward_input(n, s.dw.d_latent, outputs<0, Rank>(p.kv_a_proj_with_mqa.weight), d_in, 0.f);
    x.linear_backward_input(n, s.kv.shared_key, outputs<Rank, Turned>(p.kv_a_proj_with_mqa.weight), d_in, 1.f);
    if constexpr (QueryRank > 0) {
      auto const& q = s.dx.query;
      x.linear_backward_input(n, s.dx.q, p.q_b_proj.weight, t.d_query_normed, 0.f);
      x.zero(n, t.d_query_latent);
      query_norm::backward_input(x, b, p.q_a_layernorm, q.norm, q.latent, t.d_query_normed, t.d_query_latent);
      x.convert(n, t.d_query_latent, q.d_latent);
      x.linear_backward_input(n, q.d_latent, p.q_a_proj.weight, d_in, 1.f);
    } else {
      x.linear_backward_input(n, s.dx.q, p.q_proj.weight, d_in, 1.f);
    }
  }

  template <class X, class T>
  static constexpr void backward_weight(X& x, micro_batch const& b, auto const& g, saved<T> const& s) {
    auto const n = b.num_rows();
    x.linear_backward_weight(n, s.dw.d_out, s.dw.mixed, g.o_proj.weight);
    x.linear_backward_weight(n, s.dx.kv, s.kv.latent, g.kv_b_proj.weight);
    latent_norm::backward_weight(x, b, g.kv_a_layernorm, s.dx.norm);
    x.linear_backward_weight(n, s.dw.d_latent, s.dw.in, outputs<0, Rank>(g.kv_a_proj_with_mqa.weight));
    x.linear_backward_weight(n, s.kv.shared_key, s.dw.in, outputs<Rank, Turned>(g.kv_a_proj_with_mqa.weight));
    if constexpr (QueryRank > 0) {
      auto const& q = s.dx.query;
      x.linear_backward_weight(n, s.dx.q, q.normed, g.q_b_proj.weight);
      query_norm::backward_weight(x, b, g.q_a_layernorm, q.norm);
      x.linear_backward_weight(n, q.d_latent, s.dw.in, g.q_a_proj.weight);
    } else {
      x.linear_backward_weight(n, s.dx.q, s.dw.in, g.q_proj.weight);
    }
  }
};

}  // namespace tenon::nn
