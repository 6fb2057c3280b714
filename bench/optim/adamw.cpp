// One AdamW pass over a flat buffer, and the norm that clipping needs, against ATen's fused operator and its norm: 1 M
// parameters (in cache) and 16 M (out of cache).
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <tenon/optim/adamw.hpp>
#include <tenon/optim/norm.hpp>

#include "kernel.hpp"

using namespace tenon;

namespace {

void adamw(benchmark::State& state) {
  bench::one_thread const guard;
  using engine = optim::engine<optimizer::adamw>;
  auto const n = state.range(0);
  bench::values const w(n, 0.02), g(n, 1e-3);
  auto const moments = optim::start_state<engine>(n);
  std::int64_t t = 0;
  engine::update(engine::prepare({}, 1e-4, ++t, 1.f), moments, w.data(), g.data(), w.data(), 0, n, true);  // the moments' first touch
  for (auto _ : state) {
    auto const constants = engine::prepare({}, 1e-4, ++t, 1.f);
    engine::update(constants, moments, w.data(), g.data(), w.data(), 0, n, true);
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 28.0 * double(n));
}
void adamw_aten(benchmark::State& state) {
  bench::one_thread const guard;
  auto const n = state.range(0);
  bench::values const w(n, 0.02), g(n, 1e-3), m(n, 0), v(n, 0);
  auto const steps = at::full({}, 1.f);
  std::vector<at::Tensor> const ws{w.tensor({n})}, gs{g.tensor({n})}, ms{m.tensor({n})}, vs{v.tensor({n})}, ts{steps};
  optimizer::adamw const p;
  for (auto _ : state) at::_fused_adamw_(ws, gs, ms, vs, {}, ts, 1e-4, p.beta1, p.beta2, p.weight_decay, p.epsilon, false, false);
  bench::count_bytes(state, 28.0 * double(n));
}
void norm(benchmark::State& state) {
  bench::one_thread const guard;
  bench::values const g(state.range(0), 1e-3);
  for (auto _ : state) benchmark::DoNotOptimize(optim::sum_of_squares(g.data(), state.range(0)));
  bench::count_bytes(state, 4.0 * double(state.range(0)));
}
void norm_aten(benchmark::State& state) {
  bench::one_thread const guard;
  bench::values const g(state.range(0), 1e-3);
  auto const x = g.tensor({state.range(0)});
  for (auto _ : state) benchmark::DoNotOptimize(at::linalg_vector_norm(x));
  bench::count_bytes(state, 4.0 * double(state.range(0)));
}
BENCHMARK(adamw)->Arg(1 << 20)->Arg(1 << 24)->Unit(benchmark::kMicrosecond);
BENCHMARK(adamw_aten)->Arg(1 << 20)->Arg(1 << 24)->Unit(benchmark::kMicrosecond);
BENCHMARK(norm)->Arg(1 << 20)->Arg(1 << 24)->Unit(benchmark::kMicrosecond);
BENCHMARK(norm_aten)->Arg(1 << 20)->Arg(1 << 24)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
