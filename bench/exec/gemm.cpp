// The rate of the BLAS that LibTorch brings, called as trainers call it: one thread a call. Compare with `./tenon doctor`.
#include <benchmark/benchmark.h>

#include <vector>

extern "C" {
void sgemm_(char const*, char const*, int const*, int const*, int const*, float const*, float const*, int const*, float const*,
            int const*, float const*, float*, int const*);
#ifdef TENON_HAVE_MKL_GEMM
int MKL_Set_Num_Threads_Local(int);
#endif
}

namespace {

/// One square product of side `range(0)`, on every thread that the benchmark runs.
void gemm(benchmark::State& state) {
#ifdef TENON_HAVE_MKL_GEMM
  MKL_Set_Num_Threads_Local(1);
#endif
  int const n = static_cast<int>(state.range(0));
  std::vector<float> a(static_cast<std::size_t>(n) * n, 1.f), b = a, c = a;
  float const one = 1, zero = 0;
  for (auto _ : state) {
    sgemm_("N", "N", &n, &n, &n, &one, a.data(), &n, b.data(), &n, &zero, c.data(), &n);
    benchmark::DoNotOptimize(c.data());
  }
  state.counters["FLOP/s"] = benchmark::Counter(2.0 * n * n * n, benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(gemm)->Arg(64)->Arg(256)->Arg(768)->ThreadRange(1, 2)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
