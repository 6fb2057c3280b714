#pragma once
#include <utility>

#include "tenon/nn/attention.hpp"
#include "tenon/nn/decoder_block.hpp"
#include "tenon/nn/embedding.hpp"
#include "tenon/nn/language_head.hpp"
#include "tenon/nn/repeat.hpp"
#include "tenon/nn/rmsnorm.hpp"
#include "tenon/nn/swiglu.hpp"

namespace tenon::models {

/// The dense decoder of DeepSeek LLM and Coder (Bi et al. 2024, arXiv 2401.02954; llama's layout on disk): RMSNorm
/// before each branch, rotary positions, grouped-query attention, SwiGLU, tied or untied head. Everything that selects
/// code is a template argument, so two recipes that differ in rates and lengths share every symbol below.
template <int Vocab, int Hidden, int Layers, int Heads, int KvHeads, int Intermediate, int Positions, bool Tied,
          std::uint32_t EpsilonBits, int RecomputeEvery = 0>
struct deepseek_llm {
  static constexpr int vocab = Vocab, hidden = Hidden, layers = Layers, positions = Positions,
                       head_dim = Hidden / Heads;
  static constexpr int widest =
      Intermediate > Hidden ? Intermediate : Hidden;  ///< of the GEMM results in compute dtype
  static constexpr bool tied = Tied;
  static constexpr bool decodes_together = true;  ///< `decode` takes rows of several texts (micro_batch::cache_row)

  using norm_layer = nn::rmsnorm<Hidden, EpsilonBits>;
  using table_layer = nn::embedding<Vocab, Hidden>;
  using block_layer =
      nn::decoder_block<norm_layer, nn::attention<Hidden, Heads, KvHeads>, nn::swiglu<Hidden, Intermediate>>;
  using body_layers = nn::repeat<Layers, block_layer, RecomputeEvery>;
  using head_layer = nn::language_head<Vocab, Hidden, norm_layer>;

  /// Parameters come in groups, the units in which a store lends them out: the embedding, each block, the head.
  /// Field names spell the names on disk: `model.embed_tokens.weight`, `model.layers.0.…`, `model.norm.weight`.
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
    struct projection {
      typename head_layer::template matrix<F> weight;
    };
    template <class F>
    struct named {
      typename norm_layer::template params<F> norm;
    };
    template <class F>
    struct untied_params {
      named<F> model;
      projection<F> lm_head;
    };
    template <class F>
    struct tied_params {
      named<F> model;
    };
    template <class F>
    using params = std::conditional_t<Tied, tied_params<F>, untied_params<F>>;
  };

  template <class T>
  struct saved {
    typename body_layers::template saved<T> body;
    typename head_layer::template saved<T> head;
  };
  /// What `evaluate` and `decode` need where nothing is trained. `LogitRows`: as for the head.
  template <class T, int LogitRows = head_layer::chunk>
  struct forward_state {
    typename body_layers::template forward_state<T> body;
    typename head_layer::template saved<T, LogitRows> head;
  };
  struct scratch {
    nn::rows<float, Hidden> d_stream;
    typename block_layer::scratch block;
  };
  template <class T>
  using cache = typename body_layers::template cache<T>;

  static constexpr auto projection(auto const& embedding, auto const& head) {
    if constexpr (Tied)
      return embedding.model.embed_tokens.weight;
    else
      return head.lm_head.weight;
  }

  /// One micro-batch forward and backward. Adds -log p to `s.head.loss`; gradients go to the store's sinks, which the
  /// first micro-batch (`first`) overwrites and later ones add to. `seed` is scale * weight / count (DESIGN, promise
  /// 3).
  ///
  /// What a store gives is a lease: the group may be used until the object's life ends, which releases it. So each
  /// lease stands where its group is needed and no longer; on one device that costs nothing.
  template <class X, class Store, class T>
  static constexpr void forward_backward(X& x, Store& store, nn::micro_batch const& b, saved<T> const& s,
                                         scratch const& t, float seed, bool first) {
    auto const block = [&](int i) { return store.block(i); };
    table_layer::forward(x, b, store.embedding().model.embed_tokens, body_layers::input(s.body, 0));
    body_layers::forward_train(x, b, s.body, s.head.in, block);
    auto const back = [&] {
      body_layers::backward(x, b, s.body, t.block, t.d_stream, block,
                            [&](int i) { return store.block_sink(i, first); });
    };
    if constexpr (Tied) {
      auto table_sink = store.embedding_sink(first);
      head_backward(x, store, b, s, t, seed, first, store.embedding(), table_sink);
      table_sink.model.embed_tokens.weight.beta = 1;  // the head was the first writer
      back();
      table_layer::backward_weight(x, b, table_sink.model.embed_tokens, t.d_stream);
    } else {
      head_backward(x, store, b, s, t, seed, first, nothing{}, nothing{});
      back();
      table_layer::backward_weight(x, b, store.embedding_sink(first).model.embed_tokens, t.d_stream);
    }
  }

  /// Forward only: adds -log p of each row with a target to `s.head.loss`. `State`: saved or forward_state.
  template <class X, class Store, class State>
  static constexpr void evaluate(X& x, Store& store, nn::micro_batch const& b, State const& s) {
    run<nn::mode::infer>(x, store, b, s, static_cast<cache<typename X::compute> const*>(nullptr));
    head_layer::loss(x, b, projection(table_of_head(store), store.head()), s.head);
  }

  /// Appends the batch's rows to the cache and writes the logits of the last row to `s.head.logits` (row 0); of several
  /// texts (`cache_row`), which may be as many as there are rows of logits, those of every row.
  template <class X, class Store, class State, class T>
  static constexpr void decode(X& x, Store& store, nn::micro_batch const& b, State const& s, cache<T> const& kv) {
    run<nn::mode::decode>(x, store, b, s, &kv);
    bool const each = b.cache_row != nullptr;
    x.linear(each ? b.num_rows() : 1, nn::rows<T, Hidden>{s.head.normed.row(each ? 0 : b.num_rows() - 1)},
             projection(table_of_head(store), store.head()), nn::rows<float, Vocab>{s.head.logits.data});
    x.barrier();
  }

 private:
  struct nothing {};
  static constexpr auto table_of_head(auto& store) {
    if constexpr (Tied)
      return store.embedding();
    else
      return nothing{};
  }

  /// Loss, the head's gradients, and in t.d_stream the gradient of the last block's output.
  template <class X, class Store, class T>
  static constexpr void head_backward(X& x, Store& store, nn::micro_batch const& b, saved<T> const& s, scratch const& t,
                                      float seed, bool first, auto const& table, auto const& table_sink) {
    auto const weights = store.head();
    auto const sink = store.head_sink(first);
    head_layer::normalise(x, b, weights.model.norm, s.head);
    head_layer::loss_and_gradient(x, b, projection(table, weights), projection(table_sink, sink), s.head, seed,
                                  t.block.d_branch);
    x.zero(b.num_rows(), t.d_stream);
    norm_layer::backward_input(x, b, weights.model.norm, s.head.norm, s.head.in, t.block.d_branch, t.d_stream);
    x.barrier();
    norm_layer::backward_weight(x, b, sink.model.norm, s.head.norm);
  }

  template <nn::mode M, class X, class Store, class State, class T>
  static constexpr void run(X& x, Store& store, nn::micro_batch const& b, State const& s, cache<T> const* kv) {
    table_layer::forward(x, b, store.embedding().model.embed_tokens, s.body.stream[0]);
    body_layers::template forward_only<M>(x, b, s.body, kv, s.head.in, [&](int i) { return store.block(i); });
    head_layer::normalise(x, b, store.head().model.norm, s.head);
  }
};

}  // namespace tenon::models
