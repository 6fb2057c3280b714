#pragma once
#include <cmath>
#include <type_traits>

#include "tenon/exec/cuda/gemm.hpp"
#include "tenon/exec/cuda/kernels.hpp"
#include "tenon/exec/cuda/workspace.hpp"
#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

namespace tenon::exec::cuda {

/// Attention as this file's kernels do it. `<tenon/cuda.hpp>` has one that asks the library's flash kernels first.
struct own_attention {
  template <class T>
  static void forward(stream s, attention_shape const& a, micro_batch_extra const&, std::int32_t const* document_start,
                      T const* q, T const* k, T const* v, T* out, float* lse, attention_workspace_places<T> const&) {
    attention<T>(s, a, document_start, q, k, v, out, lse);
  }
  template <class T>
  static void backward(stream s, attention_shape const& a, micro_batch_extra const&, std::int32_t const* document_start,
                       T* q, T* k, T* v, T const* out, float const* lse, float const* d_out,
                       attention_workspace_places<T> const& w) {
    attention_backward<T>(s, a, document_start, q, k, v, out, lse, d_out, w.delta, w.d_k, w.d_v);
  }
};

/// What the layers are written against, on a GPU. The team is one host thread, so barriers are nothing: every function
/// puts work into one stream and returns, and the stream runs it in that order. Pointers of views lie on the device.
template <class Compute, class Attention = own_attention>
class executor {
 public:
  using compute = Compute;

  executor(stream s, gemm& products, workspace_places<Compute> const& w, micro_batch_extra const& extra, float const* seed)
      : stream_(s), gemm_(&products), room_(&w), extra_(extra), seed_(seed) {}

  static constexpr int member() { return 0; }
  static constexpr int members() { return 1; }
  static constexpr void barrier() {}

  // ---- GEMMs. Weights are [Out, In] as on disk.

  /// out = in W^T.
  template <class T, class Out, int N, int K, nn::role R, nn::initializer I, int D>
  void linear(std::int64_t n, nn::rows<T, K> in, nn::weight<T, N, K, R, I, D> const& w, nn::rows<Out, N> out) const {
    (*gemm_)(stream_, {op::none, op::transpose, n, N, K, false}, in.data, w.data, out.data);
  }
  /// stream += in W^T.
  template <class T, int N, int K, nn::role R, nn::initializer I, int D>
  void linear_add(std::int64_t n, nn::rows<T, K> in, nn::weight<T, N, K, R, I, D> const& w, nn::rows<float, N> out) const {
    (*gemm_)(stream_, {op::none, op::transpose, n, N, K, true}, in.data, w.data, out.data);
  }
  /// d_in = beta * d_in + d_out W; beta is 0 or 1.
  template <class T, int N, int K, nn::role R, nn::initializer I, int D>
  void linear_backward_input(std::int64_t n, nn::rows<T, N> d_out, nn::weight<T, N, K, R, I, D> const& w,
                             nn::rows<float, K> d_in, float beta) const {
    (*gemm_)(stream_, {op::none, op::none, n, K, N, beta != 0.f}, d_out.data, w.data, d_in.data);
  }
  /// sink = beta * sink + d_out^T in.
  template <class T, int N, int K, nn::role R, nn::initializer I, int D>
  void linear_backward_weight(std::int64_t n, nn::rows<T, N> d_out, nn::rows<T, K> in, nn::gradient<N, K, R, I, D> const& g) const {
    (*gemm_)(stream_, {op::transpose, op::none, N, K, n, g.beta != 0.f}, d_out.data, in.data, g.data);
  }

  // ---- Row operations.

  template <int N>
  void copy(std::int64_t n, nn::rows<float, N> in, nn::rows<float, N> out) const {
    copy_on_device(stream_, out.data, in.data, n * N * 4);
  }
  template <int N>
  void zero(std::int64_t n, nn::rows<float, N> out) const {
    clear_on_device(stream_, out.data, n * N * 4);
  }
  template <class T, int N>
  void convert(std::int64_t n, nn::rows<float, N> in, nn::rows<T, N> out) const {
    cuda::convert<T>(stream_, n * N, in.data, out.data);
  }
  template <class T, int N, nn::role R, nn::initializer I, int D>
  void rmsnorm(std::int64_t n, nn::rows<float, N> in, nn::weight<T, 1, N, R, I, D> const& w, nn::rows<T, N> out,
               nn::rows<float, 1> inverse_rms, float epsilon) const {
    cuda::rmsnorm<T>(stream_, n, N, in.data, w.data, out.data, inverse_rms.data, epsilon);
  }
  template <class T, int N, nn::role R, nn::initializer I, int D>
  void rmsnorm_backward(std::int64_t n, nn::rows<float, N> in, nn::weight<T, 1, N, R, I, D> const& w,
                        nn::rows<float, 1> inverse_rms, nn::rows<float, N> d_out, nn::rows<float, N> d_stream,
                        nn::per_tile<float, N> d_weight) const {
    cuda::rmsnorm_backward<T>(stream_, n, N, in.data, w.data, inverse_rms.data, d_out.data, d_stream.data, d_weight.data);
  }
  template <int N, nn::role R, nn::initializer I, int D>
  void add_tiles(std::int64_t n, nn::gradient<1, N, R, I, D> const& g, nn::per_tile<float, N> partial) const {
    cuda::add_tiles(stream_, nn::num_row_tiles(n), N, partial.data, g.beta, g.data);
  }
  template <class T, int N>
  void swiglu(std::int64_t n, nn::rows<T, N> gate, nn::rows<T, N> up, nn::rows<T, N> out) const {
    cuda::swiglu<T>(stream_, n * N, gate.data, up.data, out.data);
  }
  template <class T, int N>
  void swiglu_backward(std::int64_t n, nn::rows<float, N> d_out, nn::rows<T, N> gate, nn::rows<T, N> up) const {
    cuda::swiglu_backward<T>(stream_, n * N, d_out.data, gate.data, up.data);
  }
  template <int HeadDim, class T, int N>
  void rotary(nn::micro_batch const& b, nn::rows<T, N> x, int sign) const {
    cuda::rotary<T>(stream_, b.num_rows(), N, HeadDim, b.positions, b.rotary_cos, b.rotary_sin, float(sign), x.data);
  }

  // ---- Attention, over whole samples: `past` and caches are decoding's, which runs on the CPU.

  template <int Heads, int KvHeads, class T, int N, int Kv>
  void attention(nn::micro_batch const& b, nn::rows<T, N> q, nn::rows<T, Kv> k, nn::rows<T, Kv> v, nn::rows<T, N> out,
                 nn::rows<float, Heads> log_sum_exp) const {
    static_assert(N / Heads <= 256, "the kernels of attention take heads of up to 256 channels");  // a recipe's rule says so
    // Forward only keeps no log-sum-exp; the kernel still writes it, into the room of the backward pass.
    float* const lse = log_sum_exp.data != nullptr ? log_sum_exp.data : room_->attention.delta;
    Attention::template forward<T>(stream_, shape<Heads, KvHeads, N>(b), extra_, b.document_start, q.data, k.data, v.data,
                                   out.data, lse, room_->attention);
  }
  template <int Heads, int KvHeads, class T, int N, int Kv>
  void attention_backward(nn::micro_batch const& b, nn::rows<T, N> q, nn::rows<T, Kv> k, nn::rows<T, Kv> v,
                          nn::rows<T, N> out, nn::rows<float, Heads> log_sum_exp, nn::rows<float, N> d_out) const {
    Attention::template backward<T>(stream_, shape<Heads, KvHeads, N>(b), extra_, b.document_start, q.data, k.data, v.data,
                                    out.data, log_sum_exp.data, d_out.data, room_->attention);
  }

  // ---- Embedding and loss.

  template <class T, int V, int N, nn::role R, nn::initializer I, int D>
  void embedding(nn::micro_batch const& b, nn::weight<T, V, N, R, I, D> const& w, nn::rows<float, N> out) const {
    cuda::embedding<T>(stream_, b.num_rows(), N, b.tokens, w.data, out.data);
  }
  template <int V, int N, nn::role R, nn::initializer I, int D>
  void embedding_backward(nn::micro_batch const& b, nn::rows<float, N> d, nn::gradient<V, N, R, I, D> const& g) const {
    if (g.beta == 0.f) clear_on_device(stream_, g.data, std::int64_t{V} * N * 4);
    cuda::embedding_backward(stream_, b.num_rows(), N, b.tokens, extra_.order, d.data, g.data);
  }
  template <int V>
  void cross_entropy(std::int64_t n, nn::rows<float, V> logits, std::int32_t const* targets, nn::per_tile<double, 1> loss) const {
    cuda::cross_entropy(stream_, n, V, logits.data, targets, room_->row_loss);
    add_row_losses(stream_, n, room_->row_loss, loss.data);
  }
  /// `seed` is multiplied by the one that the device has worked out: there the loss scale is.
  template <class T, int V>
  void cross_entropy_gradient(std::int64_t n, nn::rows<float, V> logits, std::int32_t const* targets, float seed,
                              nn::rows<T, V> d_logits, nn::per_tile<double, 1> loss) const {
    cuda::cross_entropy_gradient<T>(stream_, n, V, logits.data, targets, seed, seed_, d_logits.data, room_->row_loss);
    add_row_losses(stream_, n, room_->row_loss, loss.data);
  }

 private:
  template <int Heads, int KvHeads, int N>
  static attention_shape shape(nn::micro_batch const& b) {
    constexpr int dim = N / Heads;
    return {b.samples, b.sequence, Heads, KvHeads, dim, 1.f / std::sqrt(float(dim))};
  }

  stream stream_;
  gemm* gemm_;
  workspace_places<Compute> const* room_;
  micro_batch_extra extra_;
  float const* seed_;
};

}  // namespace tenon::exec::cuda
