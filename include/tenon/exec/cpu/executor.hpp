#pragma once
#include <algorithm>

#include "tenon/exec/cpu/attention_kernels.hpp"
#include "tenon/exec/cpu/norm_kernels.hpp"
#include "tenon/exec/cpu/team.hpp"
#include "tenon/nn/views.hpp"

namespace tenon::exec::cpu {

/// What the layers are written against, on CPU. Every member of the team holds one and calls the same functions.
///
/// Rows are divided among the members in equal runs; an operation that reads only its own rows needs no barrier. An
/// operation that reads other members' rows says so, and the layer puts `barrier()` before it.
template <class Compute>
class executor {
 public:
  using compute = Compute;
  template <class T, int W>
  using rows_of = nn::rows<T, W>;
  struct range {
    std::int64_t first, last;
    std::int64_t size() const { return last - first; }
  };

  executor(team& t, int member, float* workspace) : team_(&t), member_(member), workspace_(workspace) {}

  int member() const { return member_; }
  int members() const { return team_->size(); }
  void barrier() const { team_->barrier(); }
  float* workspace() const { return workspace_; }

  /// This member's part of `n` items, in multiples of `grain`.
  range part(std::int64_t n, std::int64_t grain = 1) const {
    std::int64_t const units = (n + grain - 1) / grain, size = members();
    return {std::min(n, units * member_ / size * grain), std::min(n, units * (member_ + 1) / size * grain)};
  }

  /// f(first, last) on this member's rows.
  template <class F>
  void rows(std::int64_t n, F&& f) const {
    auto const r = part(n);
    if (r.size() > 0) f(r.first, r.last);
  }

  /// f() on one member while the others sleep: LibTorch or a user's module may use all threads inside.
  template <class F>
  void serial(F&& f) const {
    barrier();
    if (member_ == 0) {
      try {
        full_blas const guard;
        f();
      } catch (...) {
        team_->fail(std::current_exception());
      }
    }
    barrier();
  }

  // ---- GEMMs. Weights are [Out, In] as on disk.

  /// out = in W^T.
  template <class T, class Out, int N, int K, nn::role R, nn::initializer I, int D>
  void linear(std::int64_t n, nn::rows<T, K> in, nn::weight<T, N, K, R, I, D> const& w, nn::rows<Out, N> out) const {
    multiply(n, in, w.data, out, 0.f);
  }
  /// stream += in W^T.
  template <class T, int N, int K, nn::role R, nn::initializer I, int D>
  void linear_add(std::int64_t n, nn::rows<T, K> in, nn::weight<T, N, K, R, I, D> const& w,
                  nn::rows<float, N> stream) const {
    multiply(n, in, w.data, stream, 1.f);
  }
  /// d_in = beta * d_in + d_out W.
  template <class T, int N, int K, nn::role R, nn::initializer I, int D>
  void linear_backward_input(std::int64_t n, nn::rows<T, N> d_out, nn::weight<T, N, K, R, I, D> const& w,
                             nn::rows<float, K> d_in, float beta) const {
    auto const r = part(n);
    gemm(op::none, op::none, r.size(), K, N, d_out.row(r.first), N, w.data, K, beta, d_in.row(r.first), K);
  }
  /// sink = beta * sink + d_out^T in. Reads all members' rows; each member owns some rows of the sink.
  template <class T, int N, int K, nn::role R, nn::initializer I, int D>
  void linear_backward_weight(std::int64_t n, nn::rows<T, N> d_out, nn::rows<T, K> in,
                              nn::gradient<N, K, R, I, D> const& g) const {
    auto const r = part(N, 16);
    gemm(op::transpose, op::none, r.size(), K, n, d_out.data + r.first, N, in.data, K, g.beta, g.data + r.first * K, K);
  }

  // ---- Row operations.

  template <int N>
  void copy(std::int64_t n, nn::rows<float, N> in, nn::rows<float, N> out) const {
    rows(n, [&](auto first, auto last) { std::copy(in.row(first), in.row(last), out.row(first)); });
  }
  template <int N>
  void zero(std::int64_t n, nn::rows<float, N> out) const {
    rows(n, [&](auto first, auto last) { std::fill(out.row(first), out.row(last), 0.f); });
  }
  template <class T, int N>
  void convert(std::int64_t n, nn::rows<float, N> in, nn::rows<T, N> out) const {
    rows(n, [&](auto first, auto last) { narrow(in.row(first), out.row(first), (last - first) * N); });
  }

  template <class T, int N, nn::role R, nn::initializer I, int D>
  void rmsnorm(std::int64_t n, nn::rows<float, N> in, nn::weight<T, 1, N, R, I, D> const& w, nn::rows<T, N> out,
               nn::rows<float, 1> inverse_rms, float epsilon) const {
    rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) *inverse_rms.row(i) = rmsnorm_row<N>(in.row(i), w.data, epsilon, out.row(i));
    });
  }
  /// d_stream += the norm's input gradient; this member's share of the weight's gradient replaces its row of d_weight.
  template <class T, int N, nn::role R, nn::initializer I, int D>
  void rmsnorm_backward(std::int64_t n, nn::rows<float, N> in, nn::weight<T, 1, N, R, I, D> const& w,
                        nn::rows<float, 1> inverse_rms, nn::rows<float, N> d_out, nn::rows<float, N> d_stream,
                        nn::per_member<float, N> d_weight) const {
    float* const mine = d_weight.row(member_);
    std::fill(mine, mine + N, 0.f);
    rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i)
        rmsnorm_row_backward<N>(in.row(i), w.data, *inverse_rms.row(i), d_out.row(i), d_stream.row(i), mine);
    });
  }
  /// sink = beta * sink + the members' partial sums, in the members' order. Reads all members' partial sums.
  template <int N, nn::role R, nn::initializer I, int D>
  void add_members(nn::gradient<1, N, R, I, D> const& g, nn::per_member<float, N> partial) const {
    auto const r = part(N, 16);
    for (auto j = r.first; j < r.last; ++j) {
      float total = 0;
      for (int m = 0; m < members(); ++m) total += partial.row(m)[j];
      g.data[j] = (g.beta == 0.f ? 0.f : g.beta * g.data[j]) + total;
    }
  }

  template <class T, int N>
  void swiglu(std::int64_t n, nn::rows<T, N> gate, nn::rows<T, N> up, nn::rows<T, N> out) const {
    rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) swiglu_row<N>(gate.row(i), up.row(i), out.row(i));
    });
  }
  template <class T, int N>
  void swiglu_backward(std::int64_t n, nn::rows<float, N> d_out, nn::rows<T, N> gate, nn::rows<T, N> up) const {
    rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) swiglu_row_backward<N>(d_out.row(i), gate.row(i), up.row(i));
    });
  }
  template <int HeadDim, class T, int N>
  void rotary(nn::micro_batch const& b, nn::rows<T, N> x, int sign) const {
    rows(b.num_rows(), [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) {
        auto const at = std::int64_t{b.positions[i]} * (HeadDim / 2);
        for (int h = 0; h < N / HeadDim; ++h)
          rotary_row<HeadDim>(x.row(i) + h * HeadDim, b.rotary_cos + at, b.rotary_sin + at, float(sign));
      }
    });
  }

  // ---- Attention: reads all members' keys and values; tiles of (sample, key head) are divided among the members.

  template <int Heads, int KvHeads, class T, int N, int Kv>
  void attention(nn::micro_batch const& b, nn::rows<T, N> q, nn::rows<T, Kv> k, nn::rows<T, Kv> v, nn::rows<T, N> out,
                 nn::rows<float, Heads> log_sum_exp) const {
    constexpr int dim = N / Heads, group = Heads / KvHeads;
    auto const tiles = part(b.samples * KvHeads);
    for (auto t = tiles.first; t < tiles.last; ++t) {
      auto const row = t / KvHeads * b.sequence, head = t % KvHeads;
      attention_tile<dim, group, T>(b.sequence, b.past, b.document_start + row, {q.row(row) + head * group * dim, N},
                                    {k.row(row) + head * dim, Kv}, {v.row(row) + head * dim, Kv},
                                    {out.row(row) + head * group * dim, N}, log_sum_exp.row(row) + head * group, Heads,
                                    workspace_);
    }
  }
  template <int Heads, int KvHeads, class T, int N, int Kv>
  void attention_backward(nn::micro_batch const& b, nn::rows<T, N> q, nn::rows<T, Kv> k, nn::rows<T, Kv> v,
                          nn::rows<T, N> out, nn::rows<float, Heads> log_sum_exp, nn::rows<float, N> d_out) const {
    constexpr int dim = N / Heads, group = Heads / KvHeads;
    auto const tiles = part(b.samples * KvHeads);
    for (auto t = tiles.first; t < tiles.last; ++t) {
      auto const row = t / KvHeads * b.sequence, head = t % KvHeads;
      attention_tile_backward<dim, group, T>(
          b.sequence, b.document_start + row, {q.row(row) + head * group * dim, N}, {k.row(row) + head * dim, Kv},
          {v.row(row) + head * dim, Kv}, {out.row(row) + head * group * dim, N}, log_sum_exp.row(row) + head * group,
          Heads, {d_out.row(row) + head * group * dim, N}, workspace_);
    }
  }

  // ---- Embedding and loss.

  template <class T, int V, int N, nn::role R, nn::initializer I, int D>
  void embedding(nn::micro_batch const& b, nn::weight<T, V, N, R, I, D> const& w, nn::rows<float, N> out) const {
    rows(b.num_rows(), [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) widen(w.data + std::int64_t{b.tokens[i]} * N, out.row(i), N);
    });
  }
  /// Reads all members' rows; members divide the columns, so each table row is added to in the order of the batch.
  template <int V, int N, nn::role R, nn::initializer I, int D>
  void embedding_backward(nn::micro_batch const& b, nn::rows<float, N> d, nn::gradient<V, N, R, I, D> const& g) const {
    if (g.beta == 0.f) {
      rows(V, [&](auto first, auto last) { std::fill(g.data + first * N, g.data + last * N, 0.f); });
      barrier();
    }
    auto const columns = part(N, 16);
    for (std::int64_t i = 0; i < b.num_rows(); ++i) {
      float* const to = g.data + std::int64_t{b.tokens[i]} * N + columns.first;
      float const* const from = d.row(i) + columns.first;
      for_registers(columns.size(),
                    [&](std::int64_t j, std::int64_t c) { store(load(to + j, c) + load(from + j, c), to + j, c); });
    }
  }

  template <int V>
  void cross_entropy(std::int64_t n, nn::rows<float, V> logits, std::int32_t const* targets,
                     nn::per_member<double, 1> loss) const {
    rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i)
        if (targets[i] >= 0) *loss.row(member_) += cross_entropy_row(logits.row(i), V, targets[i]);
    });
  }
  template <class T, int V>
  void cross_entropy_gradient(std::int64_t n, nn::rows<float, V> logits, std::int32_t const* targets, float seed,
                              nn::rows<T, V> d_logits, nn::per_member<double, 1> loss) const {
    rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) {
        if (targets[i] >= 0)
          *loss.row(member_) += cross_entropy_row_gradient(logits.row(i), V, targets[i], seed, d_logits.row(i));
        else
          std::fill(d_logits.row(i), d_logits.row(i + 1), T{});
      }
    });
  }

 private:
  /// Fewer rows than this for each member: the columns are divided instead, and every member reads all rows.
  static constexpr std::int64_t few_rows = 4;

  template <class T, class Out, int K, int N>
  void multiply(std::int64_t n, nn::rows<T, K> in, T const* w, nn::rows<Out, N> out, float beta) const {
    if (n < few_rows * members()) {
      barrier();
      auto const c = part(N, 16);
      multiply_into(n, c.size(), in.data, w + c.first * K, K, out.data + c.first, N, beta);
      barrier();
    } else {
      auto const r = part(n);
      multiply_into(r.size(), N, in.row(r.first), w, K, out.row(r.first), N, beta);
    }
  }
  template <class T, class Out>
  void multiply_into(std::int64_t m, std::int64_t n, T const* in, T const* w, std::int64_t k, Out* out, std::int64_t ld,
                     float beta) const {
    if constexpr (std::is_same_v<Out, float>) {
      gemm(op::none, op::transpose, m, n, k, in, k, w, k, beta, out, ld);
    } else {
      for (std::int64_t first = 0; first < m; first += conversion_rows) {
        auto const count = std::min<std::int64_t>(conversion_rows, m - first);
        gemm(op::none, op::transpose, count, n, k, in + first * k, k, w, k, 0.f, workspace_, n);
        for (std::int64_t i = 0; i < count; ++i) narrow(workspace_ + i * n, out + (first + i) * ld, n);
      }
    }
  }

  team* team_;
  int member_;
  float* workspace_;
};

}  // namespace tenon::exec::cpu
