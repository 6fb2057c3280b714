#pragma once
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/tanh.h>

#include <array>
#include <cmath>

#include "tenon/nn/attention.hpp"
#include "tenon/nn/embedding.hpp"
#include "tenon/nn/language_head.hpp"
#include "tenon/nn/repeat.hpp"
#include "tenon/nn/residual.hpp"
#include "tenon/nn/rmsnorm.hpp"

/// Layers that the contract must be able to carry beside those the library has, and a small model made of all of them.
namespace toy {

namespace nn = tenon::nn;

/// Routed experts: each row goes to the `Chosen` likeliest of `Experts` small feed-forwards and takes their outputs
/// times the router's probabilities (softmax over all experts). The last expert is never chosen: it stands for one that
/// gets no token, whose gradient nobody but the first writer of the step clears.
template <int Hidden, int Experts, int Chosen, int Inner>
struct routed_experts {
  static constexpr int width = Hidden;

  template <class F>
  struct params {
    typename F::template matrix<Experts, Hidden, nn::role::hidden, nn::initializer::normal> router;
    typename F::template matrix<Experts * Inner, Hidden, nn::role::hidden, nn::initializer::normal> up;
    typename F::template matrix<Experts * Hidden, Inner, nn::role::hidden, nn::initializer::normal_by_depth> down;
  };
  /// A decision: recomputing must not take it anew.
  template <class T>
  struct kept {
    nn::rows<std::int32_t, Chosen> chosen;
  };
  template <class T>
  struct saved_dx {
    nn::rows<float, Experts> probability;
    nn::rows<float, Chosen * Inner> inner;
  };
  template <class T>
  struct saved_dw {
    nn::rows<T, Hidden> in;
    nn::rows<float, Hidden> d_out;
    nn::rows<float, Chosen * Inner> d_inner;
    nn::rows<float, Experts> d_score;
  };
  template <class T>
  struct saved {
    saved_dx<T> dx;
    saved_dw<T> dw;
    kept<T> decisions;
    nn::per_member<double, Experts> load;  ///< rows that each expert has got, over all steps
  };
  struct scratch {};

  template <nn::mode M, class X, class T>
  static void forward(X& x, nn::micro_batch const& b, params<nn::weights<T>> const& p, saved<T> const& s,
                      nn::rows<float, Hidden> stream) {
    x.rows(b.num_rows(), [&](std::int64_t first, std::int64_t last) {
      for (auto i = first; i < last; ++i) {
        T const* const in = s.dw.in.row(i);
        float* const probability = s.dx.probability.row(i);
        double total = 0;
        for (int e = 0; e < Experts; ++e)
          total += probability[e] = std::exp(dot<Hidden>(p.router.data + e * Hidden, in));
        for (int e = 0; e < Experts; ++e) probability[e] = float(probability[e] / total);
        std::int32_t* const chosen = s.decisions.chosen.row(i);
        if constexpr (M != nn::mode::recompute) {
          choose(probability, chosen);
          for (int c = 0; c < Chosen; ++c) s.load.row(x.member())[chosen[c]] += 1;
        }
        for (int c = 0; c < Chosen; ++c) {
          int const e = chosen[c];
          float* const inner = s.dx.inner.row(i) + c * Inner;
          for (int f = 0; f < Inner; ++f) inner[f] = std::tanh(dot<Hidden>(p.up.data + (e * Inner + f) * Hidden, in));
          for (int h = 0; h < Hidden; ++h)
            stream.row(i)[h] += probability[e] * dot<Inner>(p.down.data + (e * Hidden + h) * Inner, inner);
        }
      }
    });
  }

  template <class X, class T>
  static void backward_input(X& x, nn::micro_batch const& b, params<nn::weights<T>> const& p, saved<T> const& s,
                             scratch const&, nn::rows<float, Hidden> d_stream, nn::rows<float, Hidden> d_in) {
    x.rows(b.num_rows(), [&](std::int64_t first, std::int64_t last) {
      for (auto i = first; i < last; ++i) {
        float* const g = s.dw.d_out.row(i);
        std::copy_n(d_stream.row(i), Hidden, g);
        float const* const probability = s.dx.probability.row(i);
        std::array<double, Hidden> d{};
        std::array<double, Experts> d_probability{};
        for (int c = 0; c < Chosen; ++c) {
          int const e = s.decisions.chosen.row(i)[c];
          float const* const inner = s.dx.inner.row(i) + c * Inner;
          float* const d_inner = s.dw.d_inner.row(i) + c * Inner;
          for (int f = 0; f < Inner; ++f) {
            double sum = 0;
            for (int h = 0; h < Hidden; ++h) sum += double(g[h]) * p.down.data[(e * Hidden + h) * Inner + f];
            d_probability[std::size_t(e)] += sum * inner[f];
            d_inner[f] = float(sum * probability[e] * (1 - double(inner[f]) * inner[f]));
            for (int h = 0; h < Hidden; ++h)
              d[std::size_t(h)] += double(d_inner[f]) * p.up.data[(e * Inner + f) * Hidden + h];
          }
        }
        double mean = 0;
        for (int e = 0; e < Experts; ++e) mean += probability[e] * d_probability[std::size_t(e)];
        for (int e = 0; e < Experts; ++e) {
          float const d_score = s.dw.d_score.row(i)[e] = float(probability[e] * (d_probability[std::size_t(e)] - mean));
          for (int h = 0; h < Hidden; ++h) d[std::size_t(h)] += double(d_score) * p.router.data[e * Hidden + h];
        }
        for (int h = 0; h < Hidden; ++h) d_in.row(i)[h] = float(d[std::size_t(h)]);
      }
    });
  }

  /// Members divide the experts. The caller has put a barrier before: rows of every member are read.
  template <class X, class T>
  static void backward_weight(X& x, nn::micro_batch const& b, params<nn::gradients> const& g, saved<T> const& s) {
    x.rows(Experts, [&](std::int64_t first, std::int64_t last) {
      for (auto e = first; e < last; ++e) {
        float* const router = start(g.router, e, Hidden);
        float* const up = start(g.up, e, Inner * Hidden);
        float* const down = start(g.down, e, Hidden * Inner);
        for (std::int64_t i = 0; i < b.num_rows(); ++i) {
          T const* const in = s.dw.in.row(i);
          for (int h = 0; h < Hidden; ++h) router[h] += s.dw.d_score.row(i)[e] * in[h];
          for (int c = 0; c < Chosen; ++c) {
            if (s.decisions.chosen.row(i)[c] != e) continue;
            float const *const inner = s.dx.inner.row(i) + c * Inner, *const d_inner = s.dw.d_inner.row(i) + c * Inner;
            for (int f = 0; f < Inner; ++f)
              for (int h = 0; h < Hidden; ++h) {
                up[f * Hidden + h] += d_inner[f] * in[h];
                down[h * Inner + f] += s.dx.probability.row(i)[e] * s.dw.d_out.row(i)[h] * inner[f];
              }
          }
        }
      }
    });
  }

 private:
  template <int N>
  static float dot(float const* a, float const* b) {
    double sum = 0;
    for (int i = 0; i < N; ++i) sum += double(a[i]) * b[i];
    return float(sum);
  }
  static void choose(float const* probability, std::int32_t* chosen) {
    for (int c = 0; c < Chosen; ++c) {
      chosen[c] = -1;
      for (int e = 0; e < Experts - 1; ++e)
        if (std::find(chosen, chosen + c, e) == chosen + c &&
            (chosen[c] < 0 || probability[e] > probability[chosen[c]]))
          chosen[c] = e;
    }
  }
  /// Expert e's part of a sink, cleared if this is the step's first writer, whether or not the expert has a token.
  static float* start(auto const& g, std::int64_t e, std::int64_t size) {
    float* const mine = g.data + e * size;
    if (g.beta == 0.f) std::fill(mine, mine + size, 0.f);
    return mine;
  }
};

/// Foreign code inside a static model: y = x + tanh(x W^T + b) / 2 by LibTorch's operators, differentiated by its
/// autograd. It runs in `serial`, on views of the step's own memory. The graph does not outlive the call: the backward
/// pass builds it once more, so that any number of micro-batches may be in flight.
template <int Hidden>
struct autograd_module {
  template <class F>
  struct params {
    typename F::template matrix<Hidden, Hidden, nn::role::hidden, nn::initializer::normal> weight;
    typename F::template matrix<1, Hidden, nn::role::bias, nn::initializer::normal, 1> bias;
  };
  template <class T>
  struct saved_dw {
    nn::block<float, Hidden, Hidden> weight;
    nn::block<float, 1, Hidden> bias;
  };
  static at::Tensor function(at::Tensor const& x, at::Tensor const& w, at::Tensor const& b) {
    return x + at::tanh(at::linear(x, w, b)) / 2;
  }

  template <class X, class T>
  static void forward(X& x, nn::micro_batch const& b, params<nn::weights<T>> const& p, nn::rows<float, Hidden> in,
                      nn::rows<float, Hidden> out) {
    x.serial([&] {
      at::NoGradGuard const guard;
      view(out.data, {b.num_rows(), Hidden})
          .copy_(function(view(in.data, {b.num_rows(), Hidden}), view(p.weight.data, {Hidden, Hidden}),
                          view(p.bias.data, {Hidden})));
    });
  }
  template <class X, class T>
  static void backward_input(X& x, nn::micro_batch const& b, params<nn::weights<T>> const& p, saved_dw<T> const& s,
                             nn::rows<float, Hidden> in, nn::rows<float, Hidden> d_stream) {
    x.serial([&] {
      auto const leaf = [](at::Tensor const& t) { return t.detach().requires_grad_(true); };
      auto const i = leaf(view(in.data, {b.num_rows(), Hidden})), w = leaf(view(p.weight.data, {Hidden, Hidden})),
                 c = leaf(view(p.bias.data, {Hidden}));
      auto d = view(d_stream.data, {b.num_rows(), Hidden});
      function(i, w, c).backward(d.clone());
      d.copy_(i.grad());
      view(s.weight.data, {Hidden, Hidden}).copy_(w.grad());
      view(s.bias.data, {Hidden}).copy_(c.grad());
    });
  }
  template <class X, class T>
  static void backward_weight(X& x, params<nn::gradients> const& g, saved_dw<T> const& s) {
    x.rows(1, [&](std::int64_t, std::int64_t) {
      for (int i = 0; i < Hidden * Hidden; ++i)
        g.weight.data[i] = (g.weight.beta == 0.f ? 0.f : g.weight.data[i]) + s.weight.data[i];
      for (int i = 0; i < Hidden; ++i) g.bias.data[i] = (g.bias.beta == 0.f ? 0.f : g.bias.data[i]) + s.bias.data[i];
    });
  }

 private:
  static at::Tensor view(float const* p, std::initializer_list<std::int64_t> shape) {
    return at::from_blob(const_cast<float*>(p), at::IntArrayRef(shape));
  }
};

/// Attention, experts and the foreign module, one after the other.
template <int Hidden, int Heads, int KvHeads, int Experts, int Chosen, int Inner>
struct block {
  static constexpr int width = Hidden;
  using norm = nn::rmsnorm<Hidden, nn::bits(1e-6)>;
  using attention_layer = nn::attention<Hidden, Heads, KvHeads>;
  using experts_layer = routed_experts<Hidden, Experts, Chosen, Inner>;
  using module_layer = autograd_module<Hidden>;
  using attend = nn::residual<norm, attention_layer>;
  using think = nn::residual<norm, experts_layer>;

  template <class F>
  struct params {
    typename norm::template params<F> input_layernorm;
    typename attention_layer::template params<F> self_attn;
    typename norm::template params<F> post_attention_layernorm;
    typename experts_layer::template params<F> mlp;
    typename module_layer::template params<F> foreign;
  };
  template <class T>
  struct saved {
    typename attend::template saved<T> attention;
    nn::rows<float, Hidden> middle;
    typename think::template saved<T> feed_forward;
    nn::rows<float, Hidden> before_module;
    typename module_layer::template saved_dw<T> module;
  };
  template <class T>
  using kept = typename experts_layer::template kept<T>;
  template <class T>
  static void use_kept(saved<T>& s, kept<T> const& k) {
    s.feed_forward.inner.decisions = k;
  }
  template <class T>
  using cache = typename attention_layer::template cache<T>;
  struct scratch {
    nn::rows<float, Hidden> d_branch;
    typename attention_layer::scratch attention;
    typename experts_layer::scratch experts;
  };

  template <nn::mode M, class X, class T>
  static void forward(X& x, nn::micro_batch const& b, params<nn::weights<T>> const& p, saved<T> const& s,
                      nn::rows<float, Hidden> in, nn::rows<float, Hidden> out) {
    attend::template forward<M>(x, b, p.input_layernorm, p.self_attn, s.attention, in, s.middle);
    think::template forward<M>(x, b, p.post_attention_layernorm, p.mlp, s.feed_forward, s.middle, s.before_module);
    module_layer::forward(x, b, p.foreign, s.before_module, out);
  }
  template <class X, class T>
  static void backward_input(X& x, nn::micro_batch const& b, params<nn::weights<T>> const& p, saved<T> const& s,
                             scratch const& t, nn::rows<float, Hidden> in, nn::rows<float, Hidden> d_stream) {
    module_layer::backward_input(x, b, p.foreign, s.module, s.before_module, d_stream);
    think::backward_input(x, b, p.post_attention_layernorm, p.mlp, s.feed_forward, t.experts, t.d_branch, s.middle,
                          d_stream);
    attend::backward_input(x, b, p.input_layernorm, p.self_attn, s.attention, t.attention, t.d_branch, in, d_stream);
  }
  template <class X, class T>
  static void backward_weight(X& x, nn::micro_batch const& b, params<nn::gradients> const& g, saved<T> const& s) {
    x.barrier();
    module_layer::backward_weight(x, g.foreign, s.module);
    think::backward_weight(x, b, g.post_attention_layernorm, g.mlp, s.feed_forward);
    attend::backward_weight(x, b, g.input_layernorm, g.self_attn, s.attention);
    x.barrier();
  }
};

/// A decoder of such blocks between an embedding and a head that share one matrix.
template <int Every = 0, int Layers = 2>
struct model {
  static constexpr int vocab = 29, hidden = 16, layers = Layers, positions = 32, heads = 4, kv_heads = 2,
                       head_dim = hidden / heads, widest = hidden, experts = 4, chosen = 2, inner = 6;
  static constexpr bool tied = true;
  using norm_layer = nn::rmsnorm<hidden, nn::bits(1e-6)>;
  using table_layer = nn::embedding<vocab, hidden>;
  using block_layer = block<hidden, heads, kv_heads, experts, chosen, inner>;
  using body_layers = nn::repeat<Layers, block_layer, Every>;
  using head_layer = nn::language_head<vocab, hidden, norm_layer>;

  struct embedding_group {
    template <class F>
    struct params {
      struct named {
        typename table_layer::template params<F> embed_tokens;
      };
      named model;
    };
  };
  struct head_group {
    template <class F>
    struct params {
      struct named {
        typename norm_layer::template params<F> norm;
      };
      named model;
    };
  };
  template <class T>
  struct saved {
    typename body_layers::template saved<T> body;
    typename head_layer::template saved<T> head;
  };
  struct scratch {
    nn::rows<float, hidden> d_stream;
    typename block_layer::scratch block;
  };
  template <class T>
  using cache = typename body_layers::template cache<T>;
  static constexpr auto projection(auto const& embedding, auto const&) { return embedding.model.embed_tokens.weight; }
};

}  // namespace toy
