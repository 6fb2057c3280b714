#pragma once
#include <array>
#include <type_traits>

#include "tenon/nn/decoder_block.hpp"
#include "tenon/nn/embedding.hpp"
#include "tenon/nn/language_head.hpp"
#include "tenon/nn/look_ahead.hpp"
#include "tenon/nn/repeat.hpp"
#include "tenon/nn/rmsnorm.hpp"
#include "tenon/nn/section.hpp"
#include "tenon/nn/then.hpp"

namespace tenon::models {

/// A decoder whose first `Dense` blocks are of one kind and all others of another, between an embedding and a head:
/// everything that the DeepSeek models have in common, whatever their blocks are. Behind the blocks there may be
/// `Modules` that predict further tokens while training (nn/look_ahead.hpp).
///
/// Parameters come in groups, the units in which a store lends them out: the embedding, each block or module, the head.
/// Field names spell the names on disk: `model.embed_tokens.weight`, `model.layers.0.…`, `model.norm.weight`.
template <int Vocab, int Hidden, int Layers, int Dense, int Positions, bool Tied, class Norm, class DenseBlock,
          class Block, int RecomputeEvery, int Modules = 0>
struct decoder {
  static constexpr int vocab = Vocab, hidden = Hidden, layers = Layers, dense_layers = Dense, positions = Positions,
                       modules = Modules;
  static constexpr bool tied = Tied;
  /// Whether blocks have losses of whole sequences, and state that `end_of_step` moves.
  static constexpr bool routes = requires { typename Block::feed_forward_layer::template kept<float>; };
  static_assert(Dense >= 0 && Dense < Layers, "[tenon.dense_layers] no block of the decoder is of the second kind, or fewer than none of the first. Give Dense "
                "from 0 to Layers - 1; for one kind of block there is models::deepseek_llm");

  static constexpr int others = Layers > Dense ? Layers - Dense : 1;  ///< blocks of the second kind

  using norm_layer = Norm;
  using table_layer = nn::embedding<Vocab, Hidden>;
  using head_layer = nn::language_head<Vocab, Hidden, Norm>;
  using block_layer = Block;
  using module_layer = nn::look_ahead<Vocab, Norm, Block>;
  using sections = nn::list_sections<nn::section<DenseBlock, Dense, 0>, nn::section<Block, others, Dense>,
                                     nn::section<module_layer, Modules, Layers>>;
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

  struct nothing {};
  template <class T>
  struct saved {
    typename body_layers::template saved<T> body;
    typename head_layer::template saved<T> head;
    /// One sum for each sample of a micro-batch, over layers and micro-batches.
    std::conditional_t<routes, nn::rows<double, 1>, nothing> balance_loss;
    std::conditional_t<Modules == 0, nothing, std::array<typename module_layer::template saved<T>, Modules>> further;
  };
  /// What `evaluate` and `decode` need where nothing is trained. `LogitRows`: as for the head.
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
  struct module_scratch {
    std::array<nn::rows<float, Hidden>, 2> d_normed;  ///< of this module and of the one before
    typename module_layer::scratch own;
  };
  struct scratch {
    nn::rows<float, Hidden> d_stream;
    std::conditional_t<Dense == 0, typename Block::scratch, block_scratch> block;
    std::conditional_t<Modules == 0, nothing, module_scratch> further;
  };
  template <class T>
  using cache = typename body_layers::template cache<T>;

  [[gnu::always_inline]] static constexpr auto projection(auto const& embedding, auto const& head) {
    if constexpr (Tied)
      return embedding.model.embed_tokens.weight;
    else
      return head.lm_head.weight;
  }

  /// One micro-batch forward and backward. Adds -log p to `s.head.loss`; gradients go to the store's sinks, which the
  /// first micro-batch (`first`) overwrites and later ones add to. `seed` is scale * weight / count (DESIGN, promise
  /// 3). `b.balance_seed` and `b.balance` are those of the experts' balance losses, whose sums are added to
  /// `s.balance_loss`; `b.further_weight` is that of each module's loss.
  ///
  /// What a store gives is a lease: the group may be used until the object's life ends, which releases it. So each
  /// lease stands where its group is needed and no longer; on one device that costs nothing.
  ///
  /// This pass is one function: its layers are inlined by force (gnu::always_inline) and take views by reference. A
  /// compiler that left some of them alone would copy views and leases in and out of calls (./tenon test zero counts).
  template <class X, class Store, class T>
  static constexpr void forward_backward(X& x, Store& store, nn::micro_batch const& b, saved<T> const& s,
                                         scratch const& t, float seed, bool first) {
    nn::micro_batch own = b;  // a copy that no kernel can reach: what is computed from it is computed once
    if constexpr (routes) own.balance_loss = s.balance_loss.data;
    pass(x, store, own, s, t, seed, first);
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

  /// Once per optimizer step, when the gradients' places hold the sums of the whole step: moves what is trained without
  /// a gradient.
  template <class X, class Store>
  static constexpr void end_of_step(X& x, Store& store, nn::bias_rule const& rule) requires(routes) {
    x.barrier();
    nn::for_each_section<decoder>([&](auto s) {
      using section = nn::section_at<decoder, s()>;
      for (int i = 0; i < section::count; ++i)
        section::block::end_of_step(x, store.template block<s()>(i), store.template block_sink<s()>(i, false), rule);
    });
    x.barrier();
  }

 private:
  [[gnu::always_inline]] static constexpr auto table_of_head(auto& store) {
    if constexpr (Tied)
      return store.embedding();
    else
      return nothing{};
  }
  /// Block i of the only stack, or block i of stack s.
  template <class Store>
  struct lending {
    Store& store;
    [[gnu::always_inline]] constexpr auto operator()(int i) const { return store.template block<0>(i); }
    [[gnu::always_inline]] constexpr auto operator()(auto s, int i) const { return store.template block<s()>(i); }
  };
  template <class Store>
  struct sinking {
    Store& store;
    bool first;
    [[gnu::always_inline]] constexpr auto operator()(int i) const { return store.template block_sink<0>(i, first); }
    [[gnu::always_inline]] constexpr auto operator()(auto s, int i) const {
      return store.template block_sink<s()>(i, first);
    }
  };
  template <class Store>
  [[gnu::always_inline]] static constexpr lending<Store> blocks_of(Store& store) {
    return {store};
  }
  template <class Store>
  [[gnu::always_inline]] static constexpr sinking<Store> sinks_of(Store& store, bool first) {
    return {store, first};
  }

  template <class X, class Store, class T>
  [[gnu::always_inline]] static constexpr void pass(X& x, Store& store, nn::micro_batch const& b, saved<T> const& s,
                                                    scratch const& t, float seed, bool first) {
    auto const block = blocks_of(store);
    table_layer::forward(x, b, store.embedding().model.embed_tokens, body_layers::entry(s.body));
    body_layers::forward_train(x, b, s.body, s.head.in, block);
    if constexpr (Modules > 0) {
      auto table_sink = store.embedding_sink(first);
      heads_backward(x, store, b, s, t, seed, first, table_sink);
      body_layers::backward(x, b, s.body, t.block, t.d_stream, block, sinks_of(store, first));
      table_layer::backward_weight(x, b, table_sink.model.embed_tokens, t.d_stream);
    } else if constexpr (Tied) {
      auto table_sink = store.embedding_sink(first);
      head_backward(x, store, b, s, t, seed, first, store.embedding(), table_sink);
      table_sink.model.embed_tokens.weight.beta = 1;  // the head was the first writer
      body_layers::backward(x, b, s.body, t.block, t.d_stream, block, sinks_of(store, first));
      table_layer::backward_weight(x, b, table_sink.model.embed_tokens, t.d_stream);
    } else {
      head_backward(x, store, b, s, t, seed, first, nothing{}, nothing{});
      body_layers::backward(x, b, s.body, t.block, t.d_stream, block, sinks_of(store, first));
      table_layer::backward_weight(x, b, store.embedding_sink(first).model.embed_tokens, t.d_stream);
    }
  }

  /// Loss, the head's gradients, and in t.d_stream the gradient of the last block's output.
  template <class X, class Store, class T>
  [[gnu::always_inline]] static constexpr void head_backward(X& x, Store& store, nn::micro_batch const& b,
                                                             saved<T> const& s, scratch const& t, float seed,
                                                             bool first, auto const& table, auto const& table_sink) {
    auto const weights = store.head();
    auto const sink = store.head_sink(first);
    head_layer::normalise(x, b, weights.model.norm, s.head);
    head_layer::loss_and_gradient(x, b, projection(table, weights), projection(table_sink, sink), s.head, seed,
                                  t.block.d_branch);
    norm_backward(x, b, weights.model.norm, sink.model.norm, s, t, t.block.d_branch);
  }
  template <class X, class T>
  [[gnu::always_inline]] static constexpr void norm_backward(X& x, nn::micro_batch const& b, auto const& norm,
                                                             auto const& sink, saved<T> const& s, scratch const& t,
                                                             nn::rows<float, Hidden> const& d_normed) {
    x.zero(b.num_rows(), t.d_stream);
    Norm::backward_input(x, b, norm, s.head.norm, s.head.in, d_normed, t.d_stream);
    x.barrier();
    Norm::backward_weight(x, b, sink, s.head.norm);
  }

  /// The same with modules: all of them forward, then from the last one back. Each adds to the gradient of what the rows
  /// before it gave to the head, so two buffers serve any number of modules. `table_sink` is left such that more is added.
  template <class X, class Store, class T>
  static constexpr void heads_backward(X& x, Store& store, nn::micro_batch const& b, saved<T> const& s,
                                       scratch const& t, float seed, bool first, auto& table_sink) {
    constexpr int section = sections::size - 1;
    auto const weights = store.head();
    auto const sink = store.head_sink(first);
    auto const table = store.embedding();
    auto& of_table = table_sink.model.embed_tokens;
    auto const batch = [&](int k) { return k == 0 ? b : module_layer::batch_of(b, s.further[std::size_t(k - 1)]); };
    head_layer::normalise(x, b, weights.model.norm, s.head);
    for (int k = 0; k < Modules; ++k)
      module_layer::forward(x, batch(k), store.template block<section>(k), table.model.embed_tokens,
                            s.further[std::size_t(k)],
                            k == 0 ? s.head.normed : s.further[std::size_t(k - 1)].normed);

    auto of_projection = projection(table_sink, sink);
    auto const d_normed = [&](int k) { return t.further.d_normed[std::size_t(k % 2)]; };
    auto const predict = [&](int k) {  // 0: the model itself
      auto head = s.head;
      if (k > 0) {
        auto const& m = s.further[std::size_t(k - 1)];
        head.in = m.out, head.norm = m.norm, head.normed = m.normed, head.loss = m.loss;
      }
      head_layer::loss_and_gradient(x, batch(k), projection(table, weights), of_projection, head,
                                    k == 0 ? seed : seed * b.further_weight, d_normed(k));
      of_projection.beta = 1;
    };
    predict(Modules);
    if constexpr (Tied) of_table.weight.beta = 1;  // the head was the first writer
    for (int k = Modules; k > 0; --k) {
      predict(k - 1);
      auto const own = store.template block<section>(k - 1);
      auto const own_sink = store.template block_sink<section>(k - 1, first);
      module_layer::backward(x, b, own, own_sink, of_table, s.further[std::size_t(k - 1)], t.further.own,
                             scratch_of_block(t), t.d_stream, d_normed(k), d_normed(k - 1));
      of_table.weight.beta = 1;
    }
    norm_backward(x, b, weights.model.norm, sink.model.norm, s, t, d_normed(0));
  }
  static constexpr typename Block::scratch scratch_of_block(scratch const& t) {
    if constexpr (Dense == 0)
      return t.block;
    else
      return t.block.second();
  }

  template <nn::mode M, class X, class Store, class State, class T>
  static constexpr void run(X& x, Store& store, nn::micro_batch const& b, State const& s, cache<T> const* kv) {
    table_layer::forward(x, b, store.embedding().model.embed_tokens, body_layers::entry(s.body));
    body_layers::template forward_only<M>(x, b, s.body, kv, s.head.in, blocks_of(store));
    head_layer::normalise(x, b, store.head().model.norm, s.head);
  }
};

}  // namespace tenon::models
