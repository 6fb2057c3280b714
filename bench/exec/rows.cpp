// RMSNorm and SwiGLU, forward and backward, against ATen's operators: 512 rows of the quickstart's and of W1's widths.
#include <ATen/ops/_fused_rms_norm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>

#include <tenon/exec/cpu/norm_kernels.hpp>

#include "kernel.hpp"

using namespace tenon::exec::cpu;

namespace {

constexpr std::int64_t num_rows = 512;

template <int N>
void rmsnorm(benchmark::State& state) {
  bench::one_thread const guard;
  bench::values const in(num_rows * N), weight(N), out(num_rows * N), inverse(num_rows);
  for (auto _ : state) {
    for (std::int64_t i = 0; i < num_rows; ++i) inverse.data()[i] = rmsnorm_row<N>(in.data() + i * N, weight.data(), 1e-6f, out.data() + i * N);
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, num_rows * N * 8.0);
}
template <int N>
void rmsnorm_aten(benchmark::State& state) {
  bench::one_thread const guard;
  bench::values const in(num_rows * N), weight(N);
  auto const x = in.tensor({num_rows, N}), w = weight.tensor({N});
  for (auto _ : state) benchmark::DoNotOptimize(at::_fused_rms_norm(x, {N}, w, 1e-6));
  bench::count_bytes(state, num_rows * N * 8.0);
}

/// Without a twin: ATen has no such operator on CPU, its autograd composes several.
template <int N>
void rmsnorm_backward(benchmark::State& state) {
  bench::one_thread const guard;
  bench::values const in(num_rows * N), weight(N), d_out(num_rows * N), d_in(num_rows * N), d_weight(N);
  for (auto _ : state) {
    for (std::int64_t i = 0; i < num_rows; ++i)
      rmsnorm_row_backward<N>(in.data() + i * N, weight.data(), 1.f, d_out.data() + i * N, d_in.data() + i * N, d_weight.data());
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, num_rows * N * 16.0);
}
template <int N>
void swiglu(benchmark::State& state) {
  bench::one_thread const guard;
  bench::values const gate(num_rows * N), up(num_rows * N), out(num_rows * N);
  for (auto _ : state) {
    for (std::int64_t i = 0; i < num_rows; ++i) swiglu_row<N>(gate.data() + i * N, up.data() + i * N, out.data() + i * N);
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, num_rows * N * 12.0);
}
template <int N>
void swiglu_aten(benchmark::State& state) {
  bench::one_thread const guard;
  bench::values const gate(num_rows * N), up(num_rows * N);
  auto const g = gate.tensor({num_rows, N}), u = up.tensor({num_rows, N});
  for (auto _ : state) benchmark::DoNotOptimize(at::mul(at::silu(g), u));
  bench::count_bytes(state, num_rows * N * 12.0);
}

/// Ours replaces gate and up by their gradients, so they are made anew each time; the copy is counted.
template <int N>
void swiglu_backward(benchmark::State& state) {
  bench::one_thread const guard;
  bench::values const gate(num_rows * N), up(num_rows * N), d_out(num_rows * N), g(num_rows * N), u(num_rows * N);
  for (auto _ : state) {
    for (std::int64_t i = 0; i < num_rows; ++i) {
      auto const at = i * N;
      widen(gate.data() + at, g.data() + at, N), widen(up.data() + at, u.data() + at, N);
      swiglu_row_backward<N>(d_out.data() + at, g.data() + at, u.data() + at);
    }
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, num_rows * N * 20.0);
}
template <int N>
void swiglu_backward_aten(benchmark::State& state) {
  bench::one_thread const guard;
  bench::values const gate(num_rows * N), up(num_rows * N), d_out(num_rows * N);
  auto const g = gate.tensor({num_rows, N}), u = up.tensor({num_rows, N}), d = d_out.tensor({num_rows, N});
  auto const activated = at::silu(g);  // what autograd keeps
  for (auto _ : state) {
    benchmark::DoNotOptimize(at::mul(d, activated));
    benchmark::DoNotOptimize(at::silu_backward(at::mul(d, u), g));
  }
  bench::count_bytes(state, num_rows * N * 20.0);
}

BENCHMARK(rmsnorm<192>);
BENCHMARK(rmsnorm_aten<192>);
BENCHMARK(rmsnorm<256>);
BENCHMARK(rmsnorm_aten<256>);
BENCHMARK(rmsnorm_backward<192>);
BENCHMARK(swiglu<512>);
BENCHMARK(swiglu_aten<512>);
BENCHMARK(swiglu<688>);
BENCHMARK(swiglu_aten<688>);
BENCHMARK(swiglu_backward<512>);
BENCHMARK(swiglu_backward_aten<512>);

}  // namespace

BENCHMARK_MAIN();
