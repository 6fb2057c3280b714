// Cross-entropy of 64 rows, alone and with the logits' gradient, against ATen's operators.
#include <ATen/ops/_log_softmax.h>
#include <ATen/ops/_log_softmax_backward_data.h>
#include <ATen/ops/full.h>
#include <ATen/ops/nll_loss_backward.h>
#include <ATen/ops/nll_loss_forward.h>

#include <cstring>
#include <limits>

#include <tenon/exec/cpu/loss_kernels.hpp>

#include "kernel.hpp"

using namespace tenon::exec::cpu;

namespace {

constexpr std::int64_t num_rows = 64;
constexpr std::int64_t sum_of_rows = 2, no_target = -1;

/// Ours works in the logits' memory, so they are made anew each time; the copy is counted.
void cross_entropy(benchmark::State& state, bool gradient) {
  bench::one_thread const guard;
  auto const vocab = state.range(0);
  bench::values const logits(num_rows * vocab), work(num_rows * vocab);
  for (auto _ : state) {
    double loss = 0;
    for (std::int64_t i = 0; i < num_rows; ++i) {
      float* const row = work.data() + i * vocab;
      widen(logits.data() + i * vocab, row, vocab);
      auto const target = std::int32_t(i * 37 % vocab);
      loss += gradient ? cross_entropy_row_gradient(row, vocab, target, 1.f / num_rows, row) : cross_entropy_row(row, vocab, target);
    }
    benchmark::DoNotOptimize(loss);
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, double(num_rows * vocab) * (gradient ? 8 : 4));
}
void cross_entropy_aten(benchmark::State& state, bool gradient) {
  bench::one_thread const guard;
  auto const vocab = state.range(0);
  bench::values const logits(num_rows * vocab);
  std::vector<std::int64_t> targets;
  for (std::int64_t i = 0; i < num_rows; ++i) targets.push_back(i * 37 % vocab);
  auto const x = logits.tensor({num_rows, vocab}), t = at::from_blob(targets.data(), {num_rows}, at::kLong), seed = at::full({}, 1.f / num_rows);
  for (auto _ : state) {
    auto const p = at::_log_softmax(x, 1, false);
    auto const [loss, weight] = at::nll_loss_forward(p, t, {}, sum_of_rows, no_target);
    benchmark::DoNotOptimize(loss);
    if (gradient)
      benchmark::DoNotOptimize(at::_log_softmax_backward_data(at::nll_loss_backward(seed, p, t, {}, sum_of_rows, no_target, weight), p, 1, at::kFloat));
  }
  bench::count_bytes(state, double(num_rows * vocab) * (gradient ? 8 : 4));
}
BENCHMARK_CAPTURE(cross_entropy, loss, false)->Arg(2048)->Arg(4096)->Arg(50304);
BENCHMARK_CAPTURE(cross_entropy_aten, loss, false)->Arg(2048)->Arg(4096)->Arg(50304);
BENCHMARK_CAPTURE(cross_entropy, with_gradient, true)->Arg(2048)->Arg(4096)->Arg(50304);
BENCHMARK_CAPTURE(cross_entropy_aten, with_gradient, true)->Arg(2048)->Arg(4096)->Arg(50304);

}  // namespace

BENCHMARK_MAIN();
