#pragma once
#include <type_traits>

#include "tenon/nn/decoder_block.hpp"
#include "tenon/nn/embedding.hpp"
#include "tenon/nn/language_head.hpp"
#include "tenon/nn/repeat.hpp"
#include "tenon/nn/rmsnorm.hpp"
#include "tenon/nn/section.hpp"
#include "tenon/nn/then.hpp"

namespace tenon::models {

/// A decoder whose first `Dense` blocks are of one kind and all others of another, between an embedding and a head:
/// everything that DeepSeek-V2 and V3 have in common, whatever their blocks are. The field names of the groups spell the
/// names on disk: `model.embed_tokens.weight`, `model.layers.0.…`, `model.norm.weight`.
template <int Vocab, int Hidden, int Layers, int Dense, int Positions, bool Tied, class Norm, class DenseBlock,
          class Block, int RecomputeEvery>
struct decoder {
  static constexpr int vocab = Vocab, hidden = Hidden, layers = Layers, dense_layers = Dense, positions = Positions;
  static constexpr bool tied = Tied;
  static_assert(Dense >= 0 && Dense < Layers, "[tenon.dense_layers] no block of the decoder is of the second kind, or fewer than none of the first. Give Dense "
                "from 0 to Layers - 1; for one kind of block there is models::deepseek_llm");

  static constexpr int others = Layers > Dense ? Layers - Dense : 1;  ///< blocks of the second kind

  using norm_layer = Norm;
  using table_layer = nn::embedding<Vocab, Hidden>;
  using head_layer = nn::language_head<Vocab, Hidden, Norm>;
  using block_layer = Block;
  using sections = std::conditional_t<
      Dense == 0, nn::section_list<nn::section<Block, Layers, 0>>,
      nn::section_list<nn::section<DenseBlock, Dense == 0 ? 1 : Dense, 0>, nn::section<Block, others, Dense>>>;
  using body_layers =
      std::conditional_t<Dense == 0, nn::repeat<Layers, Block, RecomputeEvery>,
                         nn::then<nn::repeat<Dense == 0 ? 1 : Dense, DenseBlock, RecomputeEvery>,
                                  nn::repeat<others, Block, RecomputeEvery>>>;

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
      typename Norm::template params<F> norm;
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
    nn::rows<double, 1> balance_loss;  ///< one sum for each sample of a micro-batch, over layers and micro-batches
  };
  template <class T, int LogitRows = head_layer::chunk>
  struct forward_state {
    typename body_layers::template forward_state<T> body;
    typename head_layer::template saved<T, LogitRows> head;
  };
  /// Of both kinds of blocks: what they share is there once.
  struct block_scratch {
    nn::rows<float, Hidden> d_branch;
    typename Block::attention_layer::scratch attention;
    typename DenseBlock::feed_forward_layer::scratch dense;
    typename Block::feed_forward_layer::scratch experts;
    constexpr typename DenseBlock::scratch first() const { return {d_branch, attention, dense}; }
    constexpr typename Block::scratch second() const { return {d_branch, attention, experts}; }
  };
  struct scratch {
    nn::rows<float, Hidden> d_stream;
    std::conditional_t<Dense == 0, typename Block::scratch, block_scratch> block;
  };
  template <class T>
  using cache = typename body_layers::template cache<T>;

  static constexpr auto projection(auto const& embedding, auto const& head) {
    if constexpr (Tied)
      return embedding.model.embed_tokens.weight;
    else
      return head.lm_head.weight;
  }

  /// One micro-batch forward and backward: as models::deepseek_llm. `b.balance_seed` and `b.balance` are those of the
  /// experts' balance losses, whose sums are added to `s.balance_loss`.
  template <class X, class Store, class T>
  static constexpr void forward_backward(X& x, Store& store, nn::micro_batch batch, saved<T> const& s, scratch const& t,
                                         float seed, bool first) {
    batch.balance_loss = s.balance_loss.data;
    nn::micro_batch const& b = batch;
    auto const block = blocks_of(store);
    table_layer::forward(x, b, store.embedding().model.embed_tokens, body_layers::entry(s.body));
    body_layers::forward_train(x, b, s.body, s.head.in, block);
    auto const back = [&] { body_layers::backward(x, b, s.body, t.block, t.d_stream, block, sinks_of(store, first)); };
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

  /// Appends the batch's rows to the cache and writes the logits of the last row to `s.head.logits` (row 0).
  template <class X, class Store, class State, class T>
  static constexpr void decode(X& x, Store& store, nn::micro_batch const& b, State const& s, cache<T> const& kv) {
    run<nn::mode::decode>(x, store, b, s, &kv);
    x.linear(1, nn::rows<T, Hidden>{s.head.normed.row(b.num_rows() - 1)},
             projection(table_of_head(store), store.head()), nn::rows<float, Vocab>{s.head.logits.data});
    x.barrier();
  }

  /// Once per optimizer step, when the gradients' places hold the sums of the whole step: moves what is trained without
  /// a gradient.
  template <class X, class Store>
  static constexpr void end_of_step(X& x, Store& store, nn::bias_rule const& rule) {
    x.barrier();
    nn::for_each_section<decoder>([&](auto s) {
      using section = nn::section_at<decoder, s()>;
      for (int i = 0; i < section::count; ++i)
        section::block::end_of_step(x, store.template block<s()>(i), store.template block_sink<s()>(i, false), rule);
    });
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
  /// Block i of the only section, or block i of section s.
  template <class Store>
  struct lending {
    Store& store;
    constexpr auto operator()(int i) const { return store.template block<0>(i); }
    constexpr auto operator()(auto s, int i) const { return store.template block<s()>(i); }
  };
  template <class Store>
  struct sinking {
    Store& store;
    bool first;
    constexpr auto operator()(int i) const { return store.template block_sink<0>(i, first); }
    constexpr auto operator()(auto s, int i) const { return store.template block_sink<s()>(i, first); }
  };
  template <class Store>
  static constexpr lending<Store> blocks_of(Store& store) {
    return {store};
  }
  template <class Store>
  static constexpr sinking<Store> sinks_of(Store& store, bool first) {
    return {store, first};
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
    Norm::backward_input(x, b, weights.model.norm, s.head.norm, s.head.in, t.block.d_branch, t.d_stream);
    x.barrier();
    Norm::backward_weight(x, b, sink.model.norm, s.head.norm);
  }

  template <nn::mode M, class X, class Store, class State, class T>
  static constexpr void run(X& x, Store& store, nn::micro_batch const& b, State const& s, cache<T> const* kv) {
    table_layer::forward(x, b, store.embedding().model.embed_tokens, body_layers::entry(s.body));
    body_layers::template forward_only<M>(x, b, s.body, kv, s.head.in, blocks_of(store));
    head_layer::normalise(x, b, store.head().model.norm, s.head);
  }
};

}  // namespace tenon::models
