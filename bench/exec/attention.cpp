// One key/value head of one sample, forward and backward, against ATen's flash attention for CPU: the quickstart's shape (two
// query heads of 48 share a key head, 256 rows) and W1's (one of 32, 128 rows), and long rows.
#include <cmath>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>

#include <tenon/exec/cpu/attention_kernels.hpp>
#include <tenon/exec/cpu/gemm.hpp>

#include "kernel.hpp"

using namespace tenon::exec::cpu;

namespace {

/// Multiplications and additions of one causal head; the backward pass does two and a half times as many.
double flops(std::int64_t rows, int dim, int group) { return 4.0 * group * dim * double(rows) * double(rows + 1) / 2; }

template <int Dim, int Group>
struct inputs {
  explicit inputs(std::int64_t rows)
      : q(rows * Group * Dim), k(rows * Dim), v(rows * Dim), out(rows * Group * Dim), log_sum_exp(rows * Group), d_out(rows * Group * Dim),
        room(tenon::exec::attention_workspace(rows, Dim)), start(std::size_t(rows), 0) {}
  bench::values q, k, v, out, log_sum_exp, d_out, room;
  std::vector<std::int32_t> start;
  void forward(std::int64_t rows) {
    attention_tile<Dim, Dim, Group, float>(rows, 0, start.data(), {q.data(), Group * Dim}, {k.data(), Dim}, {v.data(), Dim}, {out.data(), Group * Dim},
                                      log_sum_exp.data(), Group, 1.f / std::sqrt(float(Dim)), room.data());
  }
};

template <int Dim, int Group>
void attention(benchmark::State& state) {
  bench::one_thread const guard;
  auto const rows = state.range(0);
  inputs<Dim, Group> x(rows);
  for (auto _ : state) {
    x.forward(rows);
    benchmark::ClobberMemory();
  }
  bench::count_flops(state, flops(rows, Dim, Group));
}

/// Ours replaces q, k and v by their gradients: they are copied each time, which is counted.
template <int Dim, int Group>
void attention_backward(benchmark::State& state) {
  bench::one_thread const guard;
  auto const rows = state.range(0);
  inputs<Dim, Group> x(rows);
  x.forward(rows);
  bench::values const q(rows * Group * Dim), k(rows * Dim), v(rows * Dim);
  for (auto _ : state) {
    widen(x.q.data(), q.data(), rows * Group * Dim), widen(x.k.data(), k.data(), rows * Dim), widen(x.v.data(), v.data(), rows * Dim);
    attention_tile_backward<Dim, Dim, Group, float>(rows, x.start.data(), {q.data(), Group * Dim}, {k.data(), Dim}, {v.data(), Dim}, {x.out.data(), Group * Dim},
                                               x.log_sum_exp.data(), Group, {x.d_out.data(), Group * Dim}, 1.f / std::sqrt(float(Dim)), x.room.data());
    benchmark::ClobberMemory();
  }
  bench::count_flops(state, 2.5 * flops(rows, Dim, Group));
}

/// ATen's has no key heads shared by query heads: it is given the expanded ones, as views without a copy.
template <int Dim, int Group>
struct aten_inputs {
  explicit aten_inputs(std::int64_t rows) : x(rows) {
    q = x.q.tensor({1, rows, Group, Dim}).transpose(1, 2);
    k = x.k.tensor({1, rows, 1, Dim}).transpose(1, 2).expand({1, Group, rows, Dim});
    v = x.v.tensor({1, rows, 1, Dim}).transpose(1, 2).expand({1, Group, rows, Dim});
    d_out = x.d_out.tensor({1, rows, Group, Dim}).transpose(1, 2);
  }
  inputs<Dim, Group> x;
  at::Tensor q, k, v, d_out;
};
template <int Dim, int Group>
void attention_aten(benchmark::State& state) {
  bench::one_thread const guard;
  aten_inputs<Dim, Group> const x(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(at::_scaled_dot_product_flash_attention_for_cpu(x.q, x.k, x.v, 0.0, true));
  bench::count_flops(state, flops(state.range(0), Dim, Group));
}
/// Without the sum over the query heads that share a key head.
template <int Dim, int Group>
void attention_backward_aten(benchmark::State& state) {
  bench::one_thread const guard;
  aten_inputs<Dim, Group> const x(state.range(0));
  auto const [out, log_sum_exp] = at::_scaled_dot_product_flash_attention_for_cpu(x.q, x.k, x.v, 0.0, true);
  for (auto _ : state)
    benchmark::DoNotOptimize(at::_scaled_dot_product_flash_attention_for_cpu_backward(x.d_out, x.q, x.k, x.v, out, log_sum_exp, 0.0, true));
  bench::count_flops(state, 2.5 * flops(state.range(0), Dim, Group));
}

BENCHMARK(attention<48, 2>)->Arg(256);
BENCHMARK(attention_aten<48, 2>)->Arg(256);
BENCHMARK(attention_backward<48, 2>)->Arg(256);
BENCHMARK(attention_backward_aten<48, 2>)->Arg(256);
BENCHMARK(attention<32, 1>)->Arg(128)->Arg(1024);
BENCHMARK(attention_aten<32, 1>)->Arg(128)->Arg(1024);
BENCHMARK(attention_backward<32, 1>)->Arg(128)->Arg(1024);
BENCHMARK(attention_backward_aten<32, 1>)->Arg(128)->Arg(1024);

}  // namespace

BENCHMARK_MAIN();
