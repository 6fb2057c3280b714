#pragma once
#include <algorithm>
#include <cstdint>

#include "tenon/exec/workspace.hpp"
#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

namespace tenon::exec::count {

/// Runs the same layers on paper: no data, only floating-point operations and the private memory that an operation asks
/// for. The plan is what this executor saw, so it cannot drift from the program. A multiply-add counts as two
/// operations; attention counts the scores that a causal row of full length needs, documents being unknown before the
/// data is.
template <class Compute>
class executor {
 public:
  using compute = Compute;
  std::int64_t gemm_flops = 0;       ///< matrix multiplications of the layers
  std::int64_t attention_flops = 0;  ///< scores and mixtures
  std::int64_t other_flops = 0;      ///< norms, rotations, gates, softmax: a rough count, for information
  std::int64_t workspace = 0;        ///< floats, the largest that one operation needs for one member
  std::int64_t shared = 0;           ///< floats, the largest that one operation needs for the whole team

  constexpr std::int64_t flops() const { return gemm_flops + attention_flops + other_flops; }

  constexpr int member() const { return 0; }
  constexpr int members() const { return 1; }
  constexpr void barrier() const {}
  template <class F>
  constexpr void rows(std::int64_t, F&&) const {}
  template <class F>
  constexpr void serial(F&&) const {}

  template <class T, class Out, int N, int K, nn::role R, nn::initializer I, int D>
  constexpr void linear(std::int64_t n, nn::rows<T, K>, nn::weight<T, N, K, R, I, D> const&, nn::rows<Out, N>) {
    gemm(n, N, K);
    workspace = std::max(workspace, std::is_same_v<Out, float> ? linear_workspace(0, 0) : linear_workspace(N, K));
    shared = std::max(shared, product_workspace(n, K, !std::is_same_v<Out, float>));
  }
  template <class T, int N, int K, nn::role R, nn::initializer I, int D>
  constexpr void linear_add(std::int64_t n, nn::rows<T, K>, nn::weight<T, N, K, R, I, D> const&, nn::rows<float, N>) {
    product(n, N, K, n, K);
  }
  template <class T, int N, int K, nn::role R, nn::initializer I, int D>
  constexpr void linear_backward_input(std::int64_t n, nn::rows<T, N>, nn::weight<T, N, K, R, I, D> const&,
                                       nn::rows<float, K>, float) {
    product(n, N, K, n, N);
  }
  template <class T, int N, int K, nn::role R, nn::initializer I, int D>
  constexpr void linear_backward_weight(std::int64_t n, nn::rows<T, N>, nn::rows<T, K>,
                                        nn::gradient<N, K, R, I, D> const&) {
    product(n, N, K, N, n);
  }

  template <int N>
  constexpr void copy(std::int64_t, nn::rows<float, N>, nn::rows<float, N>) {}
  template <int N>
  constexpr void zero(std::int64_t, nn::rows<float, N>) {}
  template <class T, int N>
  constexpr void convert(std::int64_t, nn::rows<float, N>, nn::rows<T, N>) {}
  template <class T, int N, nn::role R, nn::initializer I, int D>
  constexpr void rmsnorm(std::int64_t n, nn::rows<float, N>, nn::weight<T, 1, N, R, I, D> const&, nn::rows<T, N>,
                         nn::rows<float, 1>, float) {
    other_flops += 4 * n * N;
  }
  template <class T, int N, nn::role R, nn::initializer I, int D>
  constexpr void rmsnorm_backward(std::int64_t n, nn::rows<float, N>, nn::weight<T, 1, N, R, I, D> const&,
                                  nn::rows<float, 1>, nn::rows<float, N>, nn::rows<float, N>, nn::per_tile<float, N>) {
    other_flops += 11 * n * N;
  }
  template <int N, nn::role R, nn::initializer I, int D>
  constexpr void add_tiles(std::int64_t, nn::gradient<1, N, R, I, D> const&, nn::per_tile<float, N>) {}
  template <class T, int N>
  constexpr void swiglu(std::int64_t n, nn::rows<T, N>, nn::rows<T, N>, nn::rows<T, N>) {
    other_flops += 5 * n * N;
  }
  template <class T, int N>
  constexpr void swiglu_backward(std::int64_t n, nn::rows<float, N>, nn::rows<T, N>, nn::rows<T, N>) {
    other_flops += 10 * n * N;
  }
  template <int HeadDim, class T, int N>
  constexpr void rotary(nn::micro_batch const& b, nn::rows<T, N>, int) {
    other_flops += 3 * b.num_rows() * N;
  }
  template <int Heads, int KvHeads, class T, int N, int Kv>
  constexpr void attention(nn::micro_batch const& b, nn::rows<T, N>, nn::rows<T, Kv>, nn::rows<T, Kv>, nn::rows<T, N>,
                           nn::rows<float, Heads>) {
    attention_flops += 2 * pairs(b) * 2 * N;  // scores and mixture
    other_flops += 5 * pairs(b) * Heads;
    workspace = std::max(workspace, attention_workspace(b.past + b.sequence, N / Heads));
  }
  template <int Heads, int KvHeads, class T, int N, int Kv>
  constexpr void attention_backward(nn::micro_batch const& b, nn::rows<T, N>, nn::rows<T, Kv>, nn::rows<T, Kv>,
                                    nn::rows<T, N>, nn::rows<float, Heads>, nn::rows<float, N>) {
    attention_flops += 5 * pairs(b) * 2 * N;  // scores again, dP, dV, dK, dQ
    other_flops += 7 * pairs(b) * Heads;
    workspace = std::max(workspace, attention_workspace(b.sequence, N / Heads));
  }
  template <class T, int V, int N, nn::role R, nn::initializer I, int D>
  constexpr void embedding(nn::micro_batch const&, nn::weight<T, V, N, R, I, D> const&, nn::rows<float, N>) {}
  template <int V, int N, nn::role R, nn::initializer I, int D>
  constexpr void embedding_backward(nn::micro_batch const& b, nn::rows<float, N>, nn::gradient<V, N, R, I, D> const&) {
    other_flops += b.num_rows() * N;
  }
  template <int V>
  constexpr void cross_entropy(std::int64_t n, nn::rows<float, V>, std::int32_t const*, nn::per_tile<double, 1>) {
    other_flops += 3 * n * V;
  }
  template <class T, int V>
  constexpr void cross_entropy_gradient(std::int64_t n, nn::rows<float, V>, std::int32_t const*, float, nn::rows<T, V>,
                                        nn::per_tile<double, 1>) {
    other_flops += 4 * n * V;
  }

 private:
  constexpr void gemm(std::int64_t m, std::int64_t n, std::int64_t k) { gemm_flops += 2 * m * n * k; }
  /// The same, with an fp32 result whose left operand has `lines` of `depth`.
  constexpr void product(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t lines, std::int64_t depth) {
    gemm(m, n, k);
    workspace = std::max(workspace, linear_workspace(0, 0));
    shared = std::max(shared, product_workspace(lines, depth, false));
  }
  /// (row, key) pairs of a causal micro-batch whose samples are one document each.
  static constexpr std::int64_t pairs(nn::micro_batch const& b) {
    return b.samples * (b.sequence * b.past + b.sequence * (b.sequence + 1) / 2);
  }
};

/// Lends parameters that are nowhere.
template <class Model, class Compute>
struct paper_store {
  using W = nn::weights<Compute>;
  using G = nn::gradients;
  constexpr auto embedding() const { return typename Model::embedding_group::template params<W>{}; }
  constexpr auto block(int) const { return typename Model::block_layer::template params<W>{}; }
  constexpr auto head() const { return typename Model::head_group::template params<W>{}; }
  constexpr auto embedding_sink(bool) const { return typename Model::embedding_group::template params<G>{}; }
  constexpr auto block_sink(int, bool) const { return typename Model::block_layer::template params<G>{}; }
  constexpr auto head_sink(bool) const { return typename Model::head_group::template params<G>{}; }
};

/// Forward and backward of one micro-batch of `samples` x `sequence` rows, on paper.
template <class Model, class Compute>
constexpr executor<Compute> forward_backward(std::int64_t samples, std::int64_t sequence) {
  executor<Compute> x;
  paper_store<Model, Compute> store;
  nn::micro_batch const b{.samples = samples, .sequence = sequence};
  typename Model::template saved<Compute> const saved{};
  typename Model::scratch const scratch{};
  Model::forward_backward(x, store, b, saved, scratch, 1.f, true);
  return x;
}

/// Forward only.
template <class Model, class Compute>
constexpr executor<Compute> evaluate(std::int64_t samples, std::int64_t sequence) {
  executor<Compute> x;
  paper_store<Model, Compute> store;
  Model::evaluate(x, store, nn::micro_batch{.samples = samples, .sequence = sequence},
                  typename Model::template saved<Compute>{});
  return x;
}

}  // namespace tenon::exec::count
