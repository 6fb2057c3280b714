#pragma once
#include "tenon/exec/cpu/decode_kernels.hpp"
#include "tenon/exec/cpu/gemm.hpp"
#include "tenon/exec/cpu/norm_kernels.hpp"
#include "tenon/exec/cpu/product.hpp"
#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

/// What routed experts ask of the executor: routing, the order of the experts, and products of each expert with the
/// rows that lie together for it. Members take experts and columns as they get free; the size of a task does not
/// depend on the team's, so the bits are the same for any number of members.
namespace tenon::exec::cpu::inline CPU_CAPABILITY {

template <class X>
class expert_operations {
  static constexpr std::int64_t local_rows = 256, packed_rows = 32;  ///< rows of a tile; where the left side is packed
  static constexpr std::int64_t local_floats = local_rows * tile_columns, packed_floats = packed_rows * product_depth;
  static_assert(local_floats + packed_floats <= small_product, "a tile and a packed left side share one room");
  static constexpr std::int64_t columns_task = 4 * tile_columns, lines_task = 64;
  template <class T, int N, int K>
  using weight_stack = nn::stack<nn::weight<T, N, K, nn::role::hidden, nn::initializer::normal, 2>>;

 public:
  /// Logits become scores; where `decide`, the experts of each row are chosen; their weights are computed.
  template <class R>
  void route(std::int64_t n, nn::rows<float, R::experts> scores, float const* bias,
             nn::rows<std::int32_t, R::chosen> chosen, nn::rows<float, R::chosen> weight, bool decide) const {
    self().rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) {
        R::score(scores.row(i));
        if (decide) R::choose(scores.row(i), bias, chosen.row(i));
        R::weigh(scores.row(i), chosen.row(i), weight.row(i));
      }
    });
  }
  /// Coefficients of the balance losses for each sample, whose sums are added to b.balance_loss.
  template <class R>
  void balance(nn::micro_batch const& b, nn::rows<float, R::experts> scores, nn::rows<std::int32_t, R::chosen> chosen,
               nn::rows<float, R::experts> coefficient) const {
    self().barrier();
    self().tasks(b.samples, [&](std::int64_t s) {
      double const loss =
          R::balance(scores.row(s * b.sequence), chosen.row(s * b.sequence), b.sequence, b.balance.expert,
                     b.balance.device, b.balance.exchange, coefficient.row(s));
      if (b.balance_loss != nullptr) b.balance_loss[s] += loss;
    });
    self().barrier();
  }
  /// Gradient of the logits, out of that of the weights and, where b.balance_seed is not 0, of the balance losses.
  template <class R, class T>
  void route_backward(nn::micro_batch const& b, nn::rows<float, R::experts> scores,
                      nn::rows<std::int32_t, R::chosen> chosen, nn::rows<float, R::chosen> d_weight,
                      nn::rows<float, R::experts> coefficient, nn::rows<T, R::experts> d_logits) const {
    self().rows(b.num_rows(), [&](auto first, auto last) {
      float d[R::experts], share[R::experts];
      for (auto i = first; i < last; ++i) {
        if (b.balance_seed != 0)
          for (int e = 0; e < R::experts; ++e)
            share[e] = coefficient.row(i / b.sequence)[e] * b.balance_seed / float(b.sequence);
        R::backward(scores.row(i), chosen.row(i), d_weight.row(i), b.balance_seed != 0 ? share : nullptr, d);
        narrow(d, d_logits.row(i), R::experts);
      }
    });
  }

  /// Sorts (row, choice) by expert, rows of one expert in their own order. `first`: of each expert, and the end.
  template <class R>
  void sort_by_expert(std::int64_t n, nn::rows<std::int32_t, R::chosen> chosen, nn::rows<std::int32_t, R::chosen> slot,
                      nn::rows<std::int32_t, R::chosen> source,
                      nn::block<std::int32_t, 1, R::experts + 1> first) const {
    self().barrier();
    if (self().member() == 0) {
      std::int64_t const all = n * R::chosen;
      std::int32_t* const start = first.data;
      std::fill_n(start, R::experts + 1, 0);
      for (std::int64_t i = 0; i < all; ++i) ++start[chosen.data[i] + 1];
      for (int e = 0; e < R::experts; ++e) start[e + 1] += start[e];
      std::int32_t next[R::experts];
      std::copy_n(start, R::experts, next);
      for (std::int64_t i = 0; i < all; ++i) {
        auto const to = slot.data[i] = next[chosen.data[i]]++;
        source.data[to] = std::int32_t(i);
      }
    }
    self().barrier();
  }
  /// Sorted row of (i, c) = row i, for each choice c.
  template <int Chosen, class T, int N>
  void spread(std::int64_t n, nn::rows<T, N> in, nn::rows<std::int32_t, Chosen> slot, nn::rows<T, N> sorted) const {
    self().rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i)
        for (int c = 0; c < Chosen; ++c) std::copy_n(in.row(i), N, sorted.row(slot.row(i)[c]));
    });
  }
  /// sink = beta * sink + rows of each expert.
  template <int N, class Sink>
  void count_rows(nn::block<std::int32_t, 1, N> first, Sink const& sink) const {
    self().rows(1, [&](std::int64_t, std::int64_t) {
      for (int e = 0; e + 1 < N; ++e)
        sink.data[e] = (sink.beta == 0.f ? 0.f : sink.data[e]) + float(first.data[e + 1] - first.data[e]);
    });
  }

  /// out = in W[e]^T for the sorted rows of each expert e.
  template <class T, int N, int K, int E, nn::role R, nn::initializer I, int D>
  void expert_linear(std::int64_t, nn::block<std::int32_t, 1, E> first, nn::rows<T, K> in,
                     nn::stack<nn::weight<T, N, K, R, I, D>> const& w, nn::rows<T, N> out) const {
    each_column_task<N>(E - 1, [&](std::int64_t e, std::int64_t column, std::int64_t columns) {
      tiles<T>(first.data[e], first.data[e + 1], column, columns, K, in.data, w[e].data, K, 1,
               [&](std::int64_t row, std::int64_t at, float const* values, std::int64_t count) {
                 narrow(values, out.row(row) + at, count);
               });
    });
  }
  /// to[row of the sorted row] += in W[e]^T. Members divide the columns, so each row is added to in the order of the
  /// experts.
  template <int Chosen, class T, int N, int K, int E, nn::role R, nn::initializer I, int D>
  void expert_linear_add(std::int64_t, nn::block<std::int32_t, 1, E> first, nn::rows<std::int32_t, Chosen> source,
                         nn::rows<T, K> in, nn::stack<nn::weight<T, N, K, R, I, D>> const& w,
                         nn::rows<float, N> to) const {
    scatter<T, N, Chosen>(first, source, K, in.data, w, K, 1, to);
  }
  /// d_in = d_out W[e] for the sorted rows of each expert.
  template <class T, int N, int K, int E, nn::role R, nn::initializer I, int D>
  void expert_linear_backward_input(std::int64_t, nn::block<std::int32_t, 1, E> first, nn::rows<T, N> d_out,
                                    nn::stack<nn::weight<T, N, K, R, I, D>> const& w, nn::rows<float, K> d_in) const {
    each_column_task<K>(E - 1, [&](std::int64_t e, std::int64_t column, std::int64_t columns) {
      tiles<T>(first.data[e], first.data[e + 1], column, columns, N, d_out.data, w[e].data, 1, K,
               [&](std::int64_t row, std::int64_t at, float const* values, std::int64_t count) {
                 std::copy_n(values, count, d_in.row(row) + at);
               });
    });
  }
  /// d_in[row of the sorted row] += d_out W[e].
  template <int Chosen, class T, int N, int K, int E, nn::role R, nn::initializer I, int D>
  void expert_linear_backward_input_add(std::int64_t, nn::block<std::int32_t, 1, E> first,
                                        nn::rows<std::int32_t, Chosen> source, nn::rows<T, N> d_out,
                                        nn::stack<nn::weight<T, N, K, R, I, D>> const& w,
                                        nn::rows<float, K> d_in) const {
    scatter<T, K, Chosen>(first, source, N, d_out.data, w, 1, K, d_in);
  }
  /// sink[e] = beta * sink[e] + d_out^T in over the sorted rows of each expert; an expert without a row is cleared by the
  /// first writer.
  template <class T, int N, int K, int E, nn::role R, nn::initializer I, int D>
  void expert_linear_backward_weight(std::int64_t, nn::block<std::int32_t, 1, E> first, nn::rows<T, N> d_out,
                                     nn::rows<T, K> in,
                                     nn::stack<nn::gradient<N, K, R, I, D>> const& sinks) const {
    constexpr std::int64_t runs = (N + lines_task - 1) / lines_task;
    self().barrier();
    self().tasks((E - 1) * runs, [&](std::int64_t task) {
      auto const e = task / runs, line = task % runs * lines_task, lines = std::min<std::int64_t>(lines_task, N - line);
      auto const from = first.data[e], n = first.data[e + 1] - from;
      auto const sink = sinks[e];
      float* const to = sink.data + line * K;
      T const *const left = d_out.row(from) + line, *const right = in.row(from);
      if (n == 0) {
        if (sink.beta == 0.f) std::fill(to, to + lines * K, 0.f);
      } else if constexpr (own_product<T>) {
        product_alone(0, lines, K, n, operand<T>{left, 1, N}, operand<T>{right, 1, K},
                      fp32_target{to, K, sink.beta == 0.f ? nullptr : to, K}, room<T>(0), room<T>(small_product));
      } else {
        gemm(op::transpose, op::none, lines, K, n, left, N, right, K, sink.beta, to, K);
      }
    });
    self().barrier();
  }

  /// out = weight * silu(gate) * up over sorted rows, with the routing weight of each.
  template <int Chosen, class T, int N>
  void expert_swiglu(std::int64_t sorted, nn::rows<T, N> gate, nn::rows<T, N> up, nn::rows<std::int32_t, Chosen> source,
                     nn::rows<float, Chosen> weight, nn::rows<T, N> out) const {
    self().rows(sorted, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) {
        vec const w(weight.data[source.data[i]]);
        T const *const g = gate.row(i), *const u = up.row(i);
        T* const to = out.row(i);
        for_registers(N, [&](std::int64_t j, std::int64_t c) {
          auto const z = load(g + j, c);
          store(z * sigmoid(z) * load(u + j, c) * w, to + j, c);
        });
      }
    });
  }
  /// Replaces gate and up by their gradients; d_weight of the row's choice = d_out . silu(gate) * up.
  template <int Chosen, class T, int N>
  void expert_swiglu_backward(std::int64_t sorted, nn::rows<float, N> d_out, nn::rows<T, N> gate, nn::rows<T, N> up,
                              nn::rows<std::int32_t, Chosen> source, nn::rows<float, Chosen> weight,
                              nn::rows<float, Chosen> d_weight) const {
    self().rows(sorted, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) {
        auto const at = source.data[i];
        float* const d = d_out.row(i);
        T const *const g = gate.row(i), *const u = up.row(i);
        d_weight.data[at] = reduce_sum(N, [&](std::int64_t j, std::int64_t c) {
          auto const z = load(g + j, c);
          return load(d + j, c) * z * sigmoid(z) * load(u + j, c);
        });
        scale_row(d, N, weight.data[at]);
        swiglu_row_backward<N>(d, gate.row(i), up.row(i));
      }
    });
    self().barrier();
  }

 private:
  X const& self() const { return static_cast<X const&>(*this); }
  template <class T>
  word<T>* room(std::int64_t floats) const {
    return reinterpret_cast<word<T>*>(self().workspace() + floats);
  }
  /// f(expert, column, columns) for every expert and some columns at a time.
  template <int N, class F>
  void each_column_task(std::int64_t experts, F&& f) const {
    constexpr std::int64_t runs = (N + columns_task - 1) / columns_task;
    self().barrier();
    self().tasks(experts * runs, [&](std::int64_t task) {
      auto const column = task % runs * columns_task;
      f(task / runs, column, std::min<std::int64_t>(columns_task, N - column));
    });
    self().barrier();
  }
  template <class T, int N, int Chosen, int E, class Stack>
  void scatter(nn::block<std::int32_t, 1, E> first, nn::rows<std::int32_t, Chosen> source, std::int64_t k, T const* in,
               Stack const& w, std::int64_t line_stride, std::int64_t k_stride, nn::rows<float, N> to) const {
    constexpr std::int64_t panels = (N + tile_columns - 1) / tile_columns;
    self().barrier();
    self().tasks(panels, [&](std::int64_t panel) {
      auto const column = panel * tile_columns, columns = std::min<std::int64_t>(tile_columns, N - column);
      for (int e = 0; e + 1 < E; ++e)
        tiles<T>(first.data[e], first.data[e + 1], column, columns, k, in, w[e].data, line_stride, k_stride,
                 [&](std::int64_t row, std::int64_t at, float const* values, std::int64_t count) {
                   float* const sum = to.row(source.data[row] / Chosen) + at;
                   for (std::int64_t j = 0; j < count; ++j) sum[j] += values[j];
                 });
    });
    self().barrier();
  }
  /// use(row, column, values, count) with the products of rows [from, to) of `in`, `k` wide, and columns [column, column
  /// + columns) of a matrix whose element (column, k) lies at w[column * line_stride + k * k_stride].
  template <class T, class Use>
  void tiles(std::int64_t from, std::int64_t to, std::int64_t column, std::int64_t columns, std::int64_t k, T const* in,
             T const* w, std::int64_t line_stride, std::int64_t k_stride, Use&& use) const {
    float* const local = self().workspace();
    operand<T> const right{w + column * line_stride, line_stride, k_stride};
    bool packs = false;
    with_form(operand<T>{in, k, 1}, k, [&](auto form) { packs = form() == left_form::panel; });
    auto const at_once = packs ? packed_rows : local_rows;
    for (auto row = from; row < to; row += at_once) {
      auto const rows = std::min<std::int64_t>(at_once, to - row);
      for (std::int64_t c = 0; c < columns; c += tile_columns) {
        auto const count = std::min<std::int64_t>(tile_columns, columns - c);
        if (rows <= few_rows && k_stride == 1) {
          few_rows_product(rows, 0, count, k, in + row * k, right.at(c, 0), local, tile_columns, false);
        } else if constexpr (own_product<T>) {
          product_alone(0, rows, count, k, operand<T>{in + row * k, k, 1},
                        operand<T>{right.at(c, 0), line_stride, k_stride},
                        fp32_target{local, tile_columns, nullptr, 0}, room<T>(local_floats), room<T>(small_product));
        } else {
          gemm(op::none, k_stride == 1 ? op::transpose : op::none, rows, count, k, in + row * k, k, right.at(c, 0),
               k_stride == 1 ? line_stride : k_stride, 0.f, local, tile_columns);
        }
        for (std::int64_t i = 0; i < rows; ++i) use(row + i, column + c, local + i * tile_columns, count);
      }
    }
  }
};

}  // namespace tenon::exec::cpu::inline CPU_CAPABILITY
