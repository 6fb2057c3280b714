#pragma once
#include "kernel.hpp"
#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

namespace zero {

namespace nn = tenon::nn;

/// An executor whose operations are opaque calls: what the layers add to these is what is counted.
template <class Compute>
class opaque {
 public:
  using compute = Compute;
  [[gnu::always_inline]] int member() const { return 0; }
  [[gnu::always_inline]] int members() const { return 1; }
  [[gnu::always_inline]] void barrier() const { zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0); }
  template <class F>
  [[gnu::always_inline]] void rows(std::int64_t n, F&& f) const {
    f(std::int64_t{0}, n);
  }

  template <class In, class W, class Out>
  [[gnu::always_inline]] void linear(std::int64_t n, In in, W const& w, Out out) const {
    zero_kernel(op::linear, n, in.data, w.data, out.data, 0);
  }
  template <class In, class W, class Out>
  [[gnu::always_inline]] void linear_add(std::int64_t n, In in, W const& w, Out out) const {
    zero_kernel(op::linear_add, n, in.data, w.data, out.data, 0);
  }
  template <class In, class W, class Out>
  [[gnu::always_inline]] void linear_backward_input(std::int64_t n, In d_out, W const& w, Out d_in, float beta) const {
    zero_kernel(op::linear_backward_input, n, d_out.data, w.data, d_in.data, beta);
  }
  template <class Out, class In, class G>
  [[gnu::always_inline]] void linear_backward_weight(std::int64_t n, Out d_out, In in, G const& g) const {
    zero_kernel(op::linear_backward_weight, n, d_out.data, in.data, g.data, g.beta);
  }
  template <class In, class Out>
  [[gnu::always_inline]] void copy(std::int64_t n, In in, Out out) const {
    zero_kernel(op::copy, n, in.data, out.data, nullptr, 0);
  }
  template <class Out>
  [[gnu::always_inline]] void zero(std::int64_t n, Out out) const {
    zero_kernel(op::zero, n, out.data, nullptr, nullptr, 0);
  }
  template <class In, class Out>
  [[gnu::always_inline]] void convert(std::int64_t n, In in, Out out) const {
    zero_kernel(op::convert, n, in.data, out.data, nullptr, 0);
  }
  template <class In, class W, class Out, class Inverse>
  [[gnu::always_inline]] void rmsnorm(std::int64_t n, In in, W const& w, Out out, Inverse inverse, float epsilon) const {
    zero_attention(op::rmsnorm, n, in.data, w.data, out.data, inverse.data, nullptr, nullptr);
    zero_kernel(op::rmsnorm, n, nullptr, nullptr, nullptr, epsilon);
  }
  template <class In, class W, class Inverse, class DOut, class DIn, class Partial>
  [[gnu::always_inline]] void rmsnorm_backward(std::int64_t n, In in, W const& w, Inverse inverse, DOut d_out, DIn d_in, Partial partial) const {
    zero_attention(op::rmsnorm_backward, n, in.data, w.data, inverse.data, d_out.data, d_in.data, partial.data);
  }
  template <class G, class Partial>
  [[gnu::always_inline]] void add_tiles(std::int64_t n, G const& g, Partial partial) const {
    zero_kernel(op::add_tiles, n, g.data, partial.data, nullptr, g.beta);
  }
  template <class Row>
  [[gnu::always_inline]] void swiglu(std::int64_t n, Row gate, Row up, Row out) const {
    zero_kernel(op::swiglu, n, gate.data, up.data, out.data, 0);
  }
  template <class D, class Row>
  [[gnu::always_inline]] void swiglu_backward(std::int64_t n, D d_out, Row gate, Row up) const {
    zero_kernel(op::swiglu_backward, n, d_out.data, gate.data, up.data, 0);
  }
  template <int HeadDim, class Row>
  [[gnu::always_inline]] void rotary(nn::micro_batch const& b, Row row, int direction) const {
    zero_kernel(op::rotary, b.num_rows(), row.data, b.rotary_cos, b.rotary_sin, float(direction));
  }
  template <int Heads, int KvHeads, class Q, class K, class L>
  [[gnu::always_inline]] void attention(nn::micro_batch const& b, Q q, K k, K v, Q mixed, L log_sum_exp) const {
    zero_attention(op::attention, b.num_rows(), q.data, k.data, v.data, mixed.data, log_sum_exp.data, nullptr);
  }
  template <int Heads, int KvHeads, class Q, class K, class L, class D>
  [[gnu::always_inline]] void attention_backward(nn::micro_batch const& b, Q q, K k, K v, Q mixed, L log_sum_exp, D d_mixed) const {
    zero_attention(op::attention_backward, b.num_rows(), q.data, k.data, v.data, mixed.data, log_sum_exp.data, d_mixed.data);
  }
  template <class W, class Out>
  [[gnu::always_inline]] void embedding(nn::micro_batch const& b, W const& w, Out out) const {
    zero_kernel(op::embedding, b.num_rows(), b.tokens, w.data, out.data, 0);
  }
  template <class D, class G>
  [[gnu::always_inline]] void embedding_backward(nn::micro_batch const& b, D d, G const& g) const {
    zero_kernel(op::embedding_backward, b.num_rows(), b.tokens, d.data, g.data, g.beta);
  }
  template <class Logits, class DLogits, class Loss>
  [[gnu::always_inline]] void cross_entropy_gradient(std::int64_t n, Logits logits, std::int32_t const* targets, float seed, DLogits d_logits,
                              Loss loss) const {
    zero_attention(op::cross_entropy_gradient, n, logits.data, targets, d_logits.data, loss.data, nullptr, nullptr);
    zero_kernel(op::cross_entropy_gradient, n, nullptr, nullptr, nullptr, seed);
  }
};

}  // namespace zero
