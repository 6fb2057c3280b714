#pragma once
#include <cmath>
#include <cstdint>

#include "tenon/nn/context.hpp"
#include "tenon/nn/layout.hpp"

/// The halves of a step, one by one, for any model made of a table, blocks and a head: what a pipeline calls in an
/// order of its own, and what an objective of another kind than next-token needs.
namespace toy {

namespace nn = tenon::nn;

template <class Model>
struct passes {
  using body = typename Model::body_layers;
  using block = typename Model::block_layer;

  static auto stream(auto const& s, int i) { return i < Model::layers ? body::input(s.body, i) : s.head.in; }

  /// Blocks [first, last), the table before the first one.
  template <nn::mode M>
  static void forward(auto& x, auto& store, nn::micro_batch const& b, auto const& s, int first, int last) {
    if (first == 0) Model::table_layer::forward(x, b, store.embedding().model.embed_tokens, stream(s, 0));
    for (int i = first; i < last; ++i)
      block::template forward<M>(x, b, store.block(i), s.body.block[i], stream(s, i), stream(s, i + 1));
  }
  /// Norm, projection, next-token loss, and their gradients: d_stream is that of the last block's output afterwards.
  static void loss(auto& x, auto& store, nn::micro_batch const& b, auto const& s, auto const& t, auto const& scratch,
                   float seed, bool first) {
    auto const weights = store.head();
    Model::head_layer::normalise(x, b, weights.model.norm, s.head);
    auto const sink = store.head_sink(first);
    Model::head_layer::loss_and_gradient(x, b, Model::projection(store.embedding(), weights),
                                         Model::projection(store.embedding_sink(first), sink), s.head, seed,
                                         scratch.d_branch);
    norm_backward(x, b, weights, sink, s, t, scratch);
  }
  /// The same for a loss against a teacher's distribution: cross-entropy of each row with softmax(teacher).
  /// Micro-batches of at most one chunk. The loss's sum goes to the same place.
  static void distil(auto& x, auto& store, nn::micro_batch const& b, auto const& s, auto const& t, auto const& scratch,
                     float const* teacher, float seed, bool first) {
    constexpr int vocab = Model::vocab;
    auto const weights = store.head();
    Model::head_layer::normalise(x, b, weights.model.norm, s.head);
    auto const table = store.embedding();
    auto const projection = Model::projection(table, weights);
    nn::rows<float, vocab> const logits{s.head.logits.data};
    x.linear(b.num_rows(), s.head.normed, projection, logits);
    x.rows(b.num_rows(), [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i) {
        float* const student = logits.row(i);
        float const* const want = teacher + i * vocab;
        double sum = 0, wanted = 0, dot = 0;
        for (int j = 0; j < vocab; ++j) sum += std::exp(double(student[j])), wanted += std::exp(double(want[j]));
        for (int j = 0; j < vocab; ++j) dot += std::exp(double(want[j])) / wanted * student[j];
        *s.head.loss.row(i / nn::row_tile) += std::log(sum) - dot;
        for (int j = 0; j < vocab; ++j)
          student[j] = float(seed * (std::exp(double(student[j])) / sum - std::exp(double(want[j])) / wanted));
      }
    });
    auto const sink = store.head_sink(first);
    x.linear_backward_input(b.num_rows(), logits, projection, scratch.d_branch, 0.f);
    x.barrier();
    x.linear_backward_weight(b.num_rows(), logits, s.head.normed, Model::projection(store.embedding_sink(first), sink));
    x.barrier();
    norm_backward(x, b, weights, sink, s, t, scratch);
  }
  static void backward_input(auto& x, auto& store, nn::micro_batch const& b, auto const& s, auto const& t,
                             auto const& scratch, int first, int last) {
    for (int i = last - 1; i >= first; --i)
      block::backward_input(x, b, store.block(i), s.body.block[i], scratch, stream(s, i), t.d_stream);
  }
  static void backward_weight(auto& x, auto& store, nn::micro_batch const& b, auto const& s, auto const& t,
                              int first_block, int last, bool first) {
    for (int i = last - 1; i >= first_block; --i)
      block::backward_weight(x, b, store.block_sink(i, first), s.body.block[i]);
    // A tied table has been written by the head before, in every schedule: this is never its first writer.
    if (first_block == 0)
      Model::table_layer::backward_weight(x, b, store.embedding_sink(first && !Model::tied).model.embed_tokens,
                                          t.d_stream);
  }

  /// One micro-batch, recomputation as the model says.
  static void forward_backward(auto& x, auto& store, nn::micro_batch const& b, auto const& s, auto const& t, float seed,
                               bool first) {
    Model::table_layer::forward(x, b, store.embedding().model.embed_tokens, stream(s, 0));
    body::forward_train(x, b, s.body, s.head.in, [&](int i) { return store.block(i); });
    loss(x, store, b, s, t, t.block, seed, first);
    body::backward(
        x, b, s.body, t.block, t.d_stream, [&](int i) { return store.block(i); },
        [&](int i) { return store.block_sink(i, first); });
    Model::table_layer::backward_weight(x, b, store.embedding_sink(first && !Model::tied).model.embed_tokens,
                                        t.d_stream);
  }
  /// Logits of the last row after appending the batch to the cache.
  static void decode(auto& x, auto& store, nn::micro_batch const& b, auto const& s, auto const& kv) {
    Model::table_layer::forward(x, b, store.embedding().model.embed_tokens, s.body.stream[0]);
    body::template forward_only<nn::mode::decode>(x, b, s.body, &kv, s.head.in, [&](int i) { return store.block(i); });
    Model::head_layer::normalise(x, b, store.head().model.norm, s.head);
    x.linear(1, nn::rows<float, Model::hidden>{s.head.normed.row(b.num_rows() - 1)},
             Model::projection(store.embedding(), store.head()), nn::rows<float, Model::vocab>{s.head.logits.data});
    x.barrier();
  }

 private:
  static void norm_backward(auto& x, nn::micro_batch const& b, auto const& weights, auto const& sink, auto const& s,
                            auto const& t, auto const& scratch) {
    x.zero(b.num_rows(), t.d_stream);
    Model::norm_layer::backward_input(x, b, weights.model.norm, s.head.norm, s.head.in, scratch.d_branch, t.d_stream);
    x.barrier();
    Model::norm_layer::backward_weight(x, b, sink.model.norm, s.head.norm);
    x.barrier();
  }
};

}  // namespace toy
