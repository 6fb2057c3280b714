// The rate of the BLAS that LibTorch brings, called as trainers call it: one thread a call. First squares, then the products
// of a training step at the shapes of the quickstart and of W1 (rows: what one of two threads owns). Compare with `./tenon doctor`.
#include <string>

#include "kernel.hpp"
#include "workloads.hpp"

using namespace tenon::exec::cpu;

namespace {

void product(benchmark::State& state, op a_op, op b_op, std::int64_t m, std::int64_t n, std::int64_t k, float beta) {
  bench::one_thread const guard;
  bench::values const a(m * k), b(k * n), c(m * n);
  for (auto _ : state) {
    gemm(a_op, b_op, m, n, k, a.data(), a_op == op::none ? k : m, b.data(), b_op == op::none ? n : k, beta, c.data(), n);
    benchmark::DoNotOptimize(c.data());
    benchmark::ClobberMemory();
  }
  bench::count_flops(state, 2.0 * double(m) * double(n) * double(k));
}

void square(benchmark::State& state) {
  product(state, op::none, op::none, state.range(0), state.range(0), state.range(0), 0);
}
BENCHMARK(square)->Arg(64)->Arg(256)->Arg(768)->ThreadRange(1, 2)->UseRealTime();

/// The three products of a linear layer of `outputs` x `inputs` over the rows of a step.
void add_linear(std::string const& name, std::int64_t rows, std::int64_t outputs, std::int64_t inputs) {
  auto const half = rows / 2;
  auto const add = [&](char const* pass, auto run) { benchmark::RegisterBenchmark((name + "/" + pass).c_str(), run)->UseRealTime(); };
  add("forward", [=](benchmark::State& s) { product(s, op::none, op::transpose, half, outputs, inputs, 0); });
  add("input_gradient", [=](benchmark::State& s) { product(s, op::none, op::none, half, inputs, outputs, 0); });
  add("weight_gradient", [=](benchmark::State& s) { product(s, op::transpose, op::none, outputs / 2, inputs, rows, 0); });
}

template <class Recipe>
void add_step(std::string const& name, Recipe const& r) {
  auto const rows = r.batch.micro.count * r.batch.sequence.count;
  auto const& m = r.model;
  add_linear(name + "/query", rows, m.hidden, m.hidden);
  add_linear(name + "/key", rows, m.kv_width(), m.hidden);
  add_linear(name + "/gate", rows, m.intermediate, m.hidden);
  add_linear(name + "/down", rows, m.hidden, m.intermediate);
  add_linear(name + "/head", rows, m.vocab, m.hidden);
}

}  // namespace

int main(int argc, char** argv) {
  add_step("quickstart", quickstart);
  add_step("w1", workloads::w1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
