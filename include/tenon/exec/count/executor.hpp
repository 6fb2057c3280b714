#pragma once
#include <algorithm>
#include <cstdint>

#include "tenon/exec/count/family_operations.hpp"
#include "tenon/exec/workspace.hpp"
#include "tenon/nn/adapter_operations.hpp"
#include "tenon/nn/context.hpp"
#include "tenon/nn/section.hpp"
#include "tenon/nn/views.hpp"

namespace tenon::exec::count {

/// What a machine does in a second; 0: not known, and then it takes no time.
struct rates {
  double products = 0;   ///< FLOP/s of matrix products in the compute dtype
  double attention = 0;  ///< FLOP/s of scores and mixtures
  double bandwidth = 0;  ///< bytes/s to and from memory
};

/// Runs the same layers on paper: no data, only floating-point operations, bytes that go to and from memory, and the
/// private memory that an operation asks for. The plan is what this executor saw, so it cannot drift from the program.
/// A multiply-add counts as two operations; attention counts the scores that a causal row of full length needs,
/// documents being unknown before the data is. Traffic counts each operand once, as if a cache held it through the
/// operation and nothing beyond.
///
/// `seconds` adds, for each operation, the longer of its arithmetic and its traffic at the given rates (the roofline of
/// Williams, Waterman and Patterson 2009): no program that makes these operations one after the other is faster.
template <class Compute>
class executor : public family_operations<executor<Compute>>, public nn::adapter_operations<executor<Compute>> {
  using frozen = nn::adapter_operations<executor<Compute>>;

 public:
  using compute = Compute;
  using family_operations<executor<Compute>>::expert_linear_backward_weight, frozen::expert_linear_backward_weight;
  using frozen::linear, frozen::linear_add, frozen::linear_backward_input, frozen::linear_backward_weight;
  using frozen::add_tiles, frozen::embedding_backward;
  count::rates rates{};
  std::int64_t gemm_flops = 0;       ///< matrix multiplications of the layers
  std::int64_t attention_flops = 0;  ///< scores and mixtures
  std::int64_t other_flops = 0;      ///< norms, rotations, gates, softmax: a rough count, for information
  std::int64_t workspace = 0;        ///< floats, the largest that one operation needs for one member
  std::int64_t shared = 0;           ///< floats, the largest that one operation needs for the whole team
  std::int64_t traffic = 0;          ///< bytes read and written
  double seconds = 0;                ///< at the least, at `rates`

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
    gemm(n, N, K, n * N * size<Out>);
    workspace = std::max(workspace, std::is_same_v<Out, float> ? linear_workspace(0, 0) : linear_workspace(N, K));
    shared = std::max(shared, product_workspace(n, K, !std::is_same_v<Out, float>));
  }
  template <class T, int N, int K, nn::role R, nn::initializer I, int D>
  constexpr void linear_add(std::int64_t n, nn::rows<T, K>, nn::weight<T, N, K, R, I, D> const&, nn::rows<float, N>) {
    product(n, N, K, n, K, 8 * n * N);
  }
  template <class T, int N, int K, nn::role R, nn::initializer I, int D>
  constexpr void linear_backward_input(std::int64_t n, nn::rows<T, N>, nn::weight<T, N, K, R, I, D> const&,
                                       nn::rows<float, K>, float beta) {
    product(n, N, K, n, N, (beta == 0 ? 4 : 8) * n * K);
  }
  template <class T, int N, int K, nn::role R, nn::initializer I, int D>
  constexpr void linear_backward_weight(std::int64_t n, nn::rows<T, N>, nn::rows<T, K>,
                                        nn::gradient<N, K, R, I, D> const&) {
    // Written, not added to: the bound must hold for the first micro-batch, too.
    product(n, N, K, N, n, 4 * std::int64_t{N} * K);
  }

  template <int N>
  constexpr void copy(std::int64_t n, nn::rows<float, N>, nn::rows<float, N>) {
    pass(0, 8 * n * N);
  }
  template <int N>
  constexpr void zero(std::int64_t n, nn::rows<float, N>) {
    pass(0, 4 * n * N);
  }
  template <class T, int N>
  constexpr void convert(std::int64_t n, nn::rows<float, N>, nn::rows<T, N>) {
    pass(0, (4 + size<T>)*n * N);
  }
  template <class T, int N, nn::role R, nn::initializer I, int D>
  constexpr void rmsnorm(std::int64_t n, nn::rows<float, N>, nn::weight<T, 1, N, R, I, D> const&, nn::rows<T, N>,
                         nn::rows<float, 1>, float) {
    pass(4 * n * N, (4 + size<T>)*n * N);
  }
  template <class T, int N, nn::role R, nn::initializer I, int D>
  constexpr void rmsnorm_backward(std::int64_t n, nn::rows<float, N>, nn::weight<T, 1, N, R, I, D> const&,
                                  nn::rows<float, 1>, nn::rows<float, N>, nn::rows<float, N>, nn::per_tile<float, N>) {
    pass(11 * n * N, 16 * n * N);
  }
  template <int N, nn::role R, nn::initializer I, int D>
  constexpr void add_tiles(std::int64_t, nn::gradient<1, N, R, I, D> const&, nn::per_tile<float, N>) {}
  template <class T, int N>
  constexpr void swiglu(std::int64_t n, nn::rows<T, N>, nn::rows<T, N>, nn::rows<T, N>) {
    pass(5 * n * N, 3 * size<T> * n * N);
  }
  template <class T, int N>
  constexpr void swiglu_backward(std::int64_t n, nn::rows<float, N>, nn::rows<T, N>, nn::rows<T, N>) {
    pass(10 * n * N, (4 + 4 * size<T>)*n * N);
  }
  template <int HeadDim, class T, int N>
  constexpr void rotary(nn::micro_batch const& b, nn::rows<T, N>, int) {
    pass(3 * b.num_rows() * N, 2 * size<T> * b.num_rows() * N);
  }
  template <int Heads, int KvHeads, class T, int N, int Kv>
  constexpr void attention(nn::micro_batch const& b, nn::rows<T, N>, nn::rows<T, Kv>, nn::rows<T, Kv>, nn::rows<T, N>,
                           nn::rows<float, Heads>) {
    attend(2 * pairs(b) * 2 * N, size<T> * (2 * b.num_rows() * N + 2 * keys(b) * Kv));  // scores and mixture
    other_flops += 5 * pairs(b) * Heads;
    workspace = std::max(workspace, attention_workspace(b.past + b.sequence, N / Heads));
  }
  template <int Heads, int KvHeads, class T, int N, int Kv>
  constexpr void attention_backward(nn::micro_batch const& b, nn::rows<T, N>, nn::rows<T, Kv>, nn::rows<T, Kv>,
                                    nn::rows<T, N>, nn::rows<float, Heads>, nn::rows<float, N>) {
    attend(5 * pairs(b) * 2 * N,  // scores again, dP, dV, dK, dQ
           (4 + 3 * size<T>)*b.num_rows() * N + 4 * size<T> * keys(b) * Kv);
    other_flops += 7 * pairs(b) * Heads;
    workspace = std::max(workspace, attention_workspace(b.sequence, N / Heads));
  }
  template <class T, int V, int N, nn::role R, nn::initializer I, int D>
  constexpr void embedding(nn::micro_batch const& b, nn::weight<T, V, N, R, I, D> const&, nn::rows<float, N>) {
    pass(0, (4 + size<T>)*b.num_rows() * N);
  }
  template <int V, int N, nn::role R, nn::initializer I, int D>
  constexpr void embedding_backward(nn::micro_batch const& b, nn::rows<float, N>, nn::gradient<V, N, R, I, D> const&) {
    pass(b.num_rows() * N, 12 * b.num_rows() * N);
  }
  template <int V>
  constexpr void cross_entropy(std::int64_t n, nn::rows<float, V>, std::int32_t const*, nn::per_tile<double, 1>) {
    pass(3 * n * V, 4 * n * V);
  }
  template <class T, int V>
  constexpr void cross_entropy_gradient(std::int64_t n, nn::rows<float, V>, std::int32_t const*, float, nn::rows<T, V>,
                                        nn::per_tile<double, 1>) {
    pass(4 * n * V, (4 + size<T>)*n * V);
  }

  // What operations add up.
  template <class T>
  static constexpr std::int64_t size = sizeof(T);
  /// The longer of arithmetic and traffic.
  constexpr void spend(std::int64_t flops, double rate, std::int64_t bytes) {
    traffic += bytes;
    double const work = rate > 0 ? double(flops) / rate : 0;
    double const way = rates.bandwidth > 0 ? double(bytes) / rates.bandwidth : 0;
    seconds += std::max(work, way);
  }
  /// A product whose result takes `out` bytes of traffic.
  constexpr void gemm(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t out) {
    gemm_flops += 2 * m * n * k;
    spend(2 * m * n * k, rates.products, size<Compute> * k * (m + n) + out);
  }
  /// The same, with an fp32 result whose left operand has `lines` of `depth`.
  constexpr void product(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t lines, std::int64_t depth,
                         std::int64_t out) {
    gemm(m, n, k, out);
    workspace = std::max(workspace, linear_workspace(0, 0));
    shared = std::max(shared, product_workspace(lines, depth, false));
  }
  constexpr void attend(std::int64_t flops, std::int64_t bytes) {
    attention_flops += flops;
    spend(flops, rates.attention, bytes);
  }
  /// Over rows, element by element: its arithmetic is never what it waits for.
  constexpr void pass(std::int64_t flops, std::int64_t bytes) {
    other_flops += flops;
    spend(0, 0, bytes);
  }
  static constexpr std::int64_t keys(nn::micro_batch const& b) { return b.samples * (b.past + b.sequence); }
  /// (row, key) pairs of a causal micro-batch whose samples are one document each.
  static constexpr std::int64_t pairs(nn::micro_batch const& b) {
    return b.samples * (b.sequence * b.past + b.sequence * (b.sequence + 1) / 2);
  }
};

/// Lends parameters that are nowhere.
template <class Model, class Compute, class Training = nn::train_all>
struct paper_store {
  using W = std::conditional_t<Training::splits, nn::weights_under<Compute, Training>, nn::weights<Compute>>;
  using G = std::conditional_t<Training::splits, nn::gradients_under<Compute, Training>, nn::gradients>;
  constexpr auto embedding() const { return typename Model::embedding_group::template params<W>{}; }
  template <int Section = 0>
  constexpr auto block(int) const {
    return typename nn::section_at<Model, Section>::block::template params<W>{};
  }
  constexpr auto head() const { return typename Model::head_group::template params<W>{}; }
  constexpr auto embedding_sink(bool) const { return typename Model::embedding_group::template params<G>{}; }
  template <int Section = 0>
  constexpr auto block_sink(int, bool) const {
    return typename nn::section_at<Model, Section>::block::template params<G>{};
  }
  constexpr auto head_sink(bool) const { return typename Model::head_group::template params<G>{}; }
};

/// Forward and backward of one micro-batch of `samples` x `sequence` rows, on paper.
template <class Model, class Compute, class Training = nn::train_all>
constexpr executor<Compute> forward_backward(std::int64_t samples, std::int64_t sequence, rates r = {}) {
  executor<Compute> x;
  x.rates = r;
  paper_store<Model, Compute, Training> store;
  nn::micro_batch const b{.samples = samples, .sequence = sequence};
  typename Model::template saved<Compute> const saved{};
  typename Model::scratch const scratch{};
  Model::forward_backward(x, store, b, saved, scratch, 1.f, true);
  return x;
}

/// Forward only.
template <class Model, class Compute, class Training = nn::train_all>
constexpr executor<Compute> evaluate(std::int64_t samples, std::int64_t sequence, rates r = {}) {
  executor<Compute> x;
  x.rates = r;
  paper_store<Model, Compute, Training> store;
  Model::evaluate(x, store, nn::micro_batch{.samples = samples, .sequence = sequence},
                  typename Model::template saved<Compute>{});
  return x;
}

}  // namespace tenon::exec::count
