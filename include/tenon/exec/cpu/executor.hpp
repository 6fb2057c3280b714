#pragma once
#include <algorithm>

#include "tenon/exec/cpu/attention_kernels.hpp"
#include "tenon/exec/cpu/decode_kernels.hpp"
#include "tenon/exec/cpu/expert_operations.hpp"
#include "tenon/exec/cpu/gemm.hpp"
#include "tenon/exec/cpu/latent_operations.hpp"
#include "tenon/exec/cpu/norm_kernels.hpp"
#include "tenon/exec/cpu/product.hpp"
#include "tenon/exec/cpu/team.hpp"
#include "tenon/nn/adapter_operations.hpp"
#include "tenon/nn/views.hpp"

namespace tenon::exec::cpu::inline CPU_CAPABILITY {

/// What the layers are written against, on CPU. Every member of the team holds one and calls the same functions.
///
/// Rows are divided among the members in equal runs; an operation that reads only its own rows needs no barrier. An
/// operation that reads other members' rows says so, and the layer puts `barrier()` before it.
template <class Compute>
class executor : public latent_operations<executor<Compute>>,
                 public expert_operations<executor<Compute>>,
                 public nn::adapter_operations<executor<Compute>> {
  using frozen = nn::adapter_operations<executor<Compute>>;

 public:
  using compute = Compute;
  using expert_operations<executor<Compute>>::expert_linear_backward_weight, frozen::expert_linear_backward_weight;
  using frozen::linear, frozen::linear_add, frozen::linear_backward_input, frozen::linear_backward_weight;
  using frozen::add_tiles, frozen::embedding_backward;
  template <class T, int W>
  using rows_of = nn::rows<T, W>;
  struct range {
    std::int64_t first, last;
    std::int64_t size() const { return last - first; }
  };

  /// `workspace`: private memory of this member; `shared`: memory of the whole team.
  executor(team& t, int member, float* workspace, float* shared)
      : team_(&t), member_(member), workspace_(workspace), shared_(shared) {}

  int member() const { return member_; }
  int members() const { return team_->size(); }
  void barrier() const { team_->barrier(); }
  float* workspace() const { return workspace_; }

  /// This member's part of `n` items, in multiples of `grain`.
  range part(std::int64_t n, std::int64_t grain = nn::row_tile) const {
    std::int64_t const units = (n + grain - 1) / grain, size = members();
    return {std::min(n, units * member_ / size * grain), std::min(n, units * (member_ + 1) / size * grain)};
  }

  /// f(task) for task 0 to count - 1, each on the member that is free first. Stands between two barriers.
  template <class F>
  void tasks(std::int64_t count, F&& f) const {
    if (members() == 1) {
      for (std::int64_t task = 0; task < count; ++task) f(task);
    } else {
      for (auto task = team_->take(); task < count; task = team_->take()) f(task);
    }
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
    if constexpr (own_product<T>) {
      multiply_panels<K, N>(n, operand<T>{d_out.data, N, 1}, operand<T>{w.data, 1, K},
                            fp32_target{d_in.data, K, beta == 0.f ? nullptr : d_in.data, K});
    } else {
      library_tiles(n, [&](std::int64_t first, std::int64_t count) {
        gemm(op::none, op::none, count, K, N, d_out.row(first), N, w.data, K, beta, d_in.row(first), K);
      });
    }
  }
  /// sink = beta * sink + d_out^T in. Reads all members' rows; each member owns some rows of the sink.
  template <class T, int N, int K, nn::role R, nn::initializer I, int D>
  void linear_backward_weight(std::int64_t n, nn::rows<T, N> d_out, nn::rows<T, K> in,
                              nn::gradient<N, K, R, I, D> const& g) const {
    if constexpr (own_product<T>) {
      operand<T> const left{d_out.data, 1, N}, right{in.data, 1, K};
      fp32_target const target{g.data, K, g.beta == 0.f ? nullptr : g.data, K};
      if (small(N, K, n)) {
        auto const r = part(N);
        product_alone(r.first, r.last, K, n, left, right, target, small_room<T>(), panel_room<T>());
      } else {
        product(*this, N, K, n, left, right, target, shared_room<T>(), panel_room<T>());
      }
    } else {
      library_tiles(N, [&](std::int64_t first, std::int64_t count) {
        gemm(op::transpose, op::none, count, K, n, d_out.data + first, N, in.data, K, g.beta, g.data + first * K, K);
      });
    }
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
      for (auto i = first; i < last; ++i) {
        float const inverse = rmsnorm_row<N>(in.row(i), w.data, epsilon, out.row(i));
        if (inverse_rms.data != nullptr) *inverse_rms.row(i) = inverse;  // null: forward only
      }
    });
  }
  /// d_stream += the norm's input gradient; the sums of the weight's gradient over each tile of rows go to d_weight.
  template <class T, int N, nn::role R, nn::initializer I, int D>
  void rmsnorm_backward(std::int64_t n, nn::rows<float, N> in, nn::weight<T, 1, N, R, I, D> const& w,
                        nn::rows<float, 1> inverse_rms, nn::rows<float, N> d_out, nn::rows<float, N> d_stream,
                        nn::per_tile<float, N> d_weight) const {
    rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) {
        float* const sums = d_weight.row(i / nn::row_tile);
        if (i % nn::row_tile == 0) std::fill(sums, sums + N, 0.f);
        rmsnorm_row_backward<N>(in.row(i), w.data, *inverse_rms.row(i), d_out.row(i), d_stream.row(i), sums);
      }
    });
  }
  /// sink = beta * sink + the partial sums of `n` rows, in the order of the tiles. Reads all members' partial sums.
  template <int N, nn::role R, nn::initializer I, int D>
  void add_tiles(std::int64_t n, nn::gradient<1, N, R, I, D> const& g, nn::per_tile<float, N> partial) const {
    auto const r = part(N, 16);
    for_registers(r.size(), [&](std::int64_t i, std::int64_t c) {
      auto const j = r.first + i;
      vec total(0.f);
      for (std::int64_t tile = 0; tile < nn::num_row_tiles(n); ++tile) total = total + load(partial.row(tile) + j, c);
      store(g.beta == 0.f ? total : vec(g.beta) * load(g.data + j, c) + total, g.data + j, c);
    });
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
    tasks(b.samples * KvHeads, [&](std::int64_t t) {
      auto const row = t / KvHeads * b.sequence, head = t % KvHeads;
      if (b.sequence == 1 && log_sum_exp.data == nullptr) {  // decoding
        std::int64_t base = row, last = b.past;
        if (b.cache_row != nullptr) {  // this text's newest key and value go to their place; nobody else reads them
          base = 0, last = b.cache_row[row];
          for (auto x : {k, v}) std::copy_n(x.row(b.past + row) + head * dim, dim, x.row(last) + head * dim);
        }
        for (int g = 0; g < group; ++g)
          attention_row<dim, T>(q.row(row) + (head * group + g) * dim, {k.row(base) + head * dim, Kv},
                                {v.row(base) + head * dim, Kv}, b.document_start[row], last + 1,
                                out.row(row) + (head * group + g) * dim, workspace_);
        return;
      }
      attention_tile<dim, dim, group, T>(
          b.sequence, b.past, b.document_start + row, {q.row(row) + head * group * dim, N},
          {k.row(row) + head * dim, Kv}, {v.row(row) + head * dim, Kv}, {out.row(row) + head * group * dim, N},
          log_sum_exp.data == nullptr ? nullptr : log_sum_exp.row(row) + head * group, Heads, 1.f / std::sqrt(float(dim)),
          workspace_);
    });
  }
  template <int Heads, int KvHeads, class T, int N, int Kv>
  void attention_backward(nn::micro_batch const& b, nn::rows<T, N> q, nn::rows<T, Kv> k, nn::rows<T, Kv> v,
                          nn::rows<T, N> out, nn::rows<float, Heads> log_sum_exp, nn::rows<float, N> d_out) const {
    constexpr int dim = N / Heads, group = Heads / KvHeads;
    tasks(b.samples * KvHeads, [&](std::int64_t t) {
      auto const row = t / KvHeads * b.sequence, head = t % KvHeads;
      attention_tile_backward<dim, dim, group, T>(
          b.sequence, b.document_start + row, {q.row(row) + head * group * dim, N}, {k.row(row) + head * dim, Kv},
          {v.row(row) + head * dim, Kv}, {out.row(row) + head * group * dim, N}, log_sum_exp.row(row) + head * group,
          Heads, {d_out.row(row) + head * group * dim, N}, 1.f / std::sqrt(float(dim)), workspace_);
    });
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
                     nn::per_tile<double, 1> loss) const {
    rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i)
        if (targets[i] >= 0) *loss.row(i / nn::row_tile) += cross_entropy_row(logits.row(i), V, targets[i]);
    });
  }
  template <class T, int V>
  void cross_entropy_gradient(std::int64_t n, nn::rows<float, V> logits, std::int32_t const* targets, float seed,
                              nn::rows<T, V> d_logits, nn::per_tile<double, 1> loss) const {
    rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) {
        if (targets[i] >= 0)
          *loss.row(i / nn::row_tile) +=
              cross_entropy_row_gradient(logits.row(i), V, targets[i], seed, d_logits.row(i));
        else
          std::fill(d_logits.row(i), d_logits.row(i + 1), T{});
      }
    });
  }

 private:
  template <class T>
  word<T>* panel_room() const {
    return reinterpret_cast<word<T>*>(workspace_ + small_product);
  }
  template <class T>
  word<T>* small_room() const {
    return reinterpret_cast<word<T>*>(workspace_);
  }
  template <class T>
  word<T>* shared_room() const {
    return reinterpret_cast<word<T>*>(shared_);
  }
  /// A product that is done sooner than the team has met: each member takes its own lines and nobody waits.
  bool small(std::int64_t m, std::int64_t n, std::int64_t k) const {
    return members() == 1 ? (m + 7) / 8 * 8 * k <= small_product
                          : m * n * k < (1 << 21) && (m + 7) / 8 * 8 * k <= small_product;
  }
  /// f(first, count) for tiles of `m` lines whose size does not depend on the team's: the library's sums may depend on
  /// the shape that it is asked for, and the bits are to be the same for any number of members.
  template <class F>
  void library_tiles(std::int64_t m, F&& f) const {
    constexpr std::int64_t tile = 128;
    barrier();
    tasks((m + tile - 1) / tile,
          [&](std::int64_t task) { f(task * tile, std::min<std::int64_t>(tile, m - task * tile)); });
    barrier();
  }
  /// target = base + left right^T for rows of activations: N columns, K long.
  template <int N, int K, class T, class Target>
  void multiply_panels(std::int64_t m, operand<T> left, operand<T> right, Target target) const {
    if (small(m, N, K)) {
      auto const r = part(m);
      product_alone(r.first, r.last, N, K, left, right, target, small_room<T>(), panel_room<T>());
    } else {
      product(*this, m, N, K, left, right, target, shared_room<T>(), panel_room<T>());
    }
  }

  template <class T, class Out, int K, int N>
  void multiply(std::int64_t n, nn::rows<T, K> in, T const* w, nn::rows<Out, N> out, float beta) const {
    if (n <= few_rows) {
      barrier();
      tasks((N + few_rows_task - 1) / few_rows_task, [&](std::int64_t task) {
        auto const first = task * few_rows_task, last = std::min<std::int64_t>(N, first + few_rows_task);
        few_rows_product(n, first, last, K, in.data, w, out.data, N, beta != 0.f);
      });
      barrier();
    } else if constexpr (own_product<T>) {
      operand<T> const left{in.data, K, 1}, right{w, K, 1};
      if constexpr (std::is_same_v<Out, float>)
        multiply_panels<N, K>(n, left, right, fp32_target{out.data, N, beta == 0.f ? nullptr : out.data, N});
      else
        multiply_panels<N, K>(n, left, right, narrow_target<Out>{out.data, N});
    } else {
      library_tiles(n, [&](std::int64_t first, std::int64_t count) {
        multiply_into(count, N, in.row(first), w, K, out.row(first), N, beta);
      });
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
  float* shared_;
};

}  // namespace tenon::exec::cpu::inline CPU_CAPABILITY
