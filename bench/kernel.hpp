#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include <tenon/core/philox.hpp>
#include <tenon/exec/cpu/gemm.hpp>

/// What the kernel benchmarks share. A kernel and ATen's own operator are measured alike: on one thread, the way the engine
/// calls them from inside its parallel region, on the same values.
namespace bench {

/// One thread for ATen and for the BLAS, as long as it lives.
struct one_thread {
  one_thread() { at::set_num_threads(1); }
  tenon::exec::cpu::single_threaded_blas blas;
};

/// Normal values with standard deviation `scale`, aligned as the engine's buffers are.
class values {
 public:
  explicit values(std::int64_t n, double scale = 1) : memory_(std::size_t(n) + 16) {
    auto const address = reinterpret_cast<std::uintptr_t>(memory_.data());
    data_ = reinterpret_cast<float*>((address + 63) / 64 * 64);
    tenon::random_stream const random(1, "kernel");
    for (std::int64_t i = 0; i < n; ++i) data_[i] = float(scale * random.normal(std::uint64_t(i)));
  }
  values(values const&) = delete;
  values& operator=(values const&) = delete;
  float* data() const { return data_; }
  /// The same memory as ATen sees it.
  at::Tensor tensor(std::vector<std::int64_t> const& shape) const { return at::from_blob(data_, shape, at::kFloat); }

 private:
  std::vector<float> memory_;
  float* data_;
};

/// Bytes that the algorithm must read and write, against the clock.
inline void count_bytes(benchmark::State& state, double bytes) {
  state.counters["B/s"] = benchmark::Counter(bytes, benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1024);
}
inline void count_flops(benchmark::State& state, double flops) {
  state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace bench
