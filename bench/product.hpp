#pragma once
#include <algorithm>
#include <vector>

#include <tenon/exec/cpu/gemm.hpp>

#include "orders.hpp"

namespace bench {

/// GFLOP/s of a square product of side 1024 by the library's BLAS on all threads, best of ten: whether two processes have
/// the same BLAS.
inline double product_rate() {
  constexpr std::int64_t n = 1024;
  std::vector<float> a(n * n, 0.5f), b(n * n, 0.25f), c(n * n);
  double best = 1e30;
  for (int i = 0; i < 12; ++i) {
    auto const start = clock_type::now();
    tenon::exec::cpu::gemm(tenon::exec::cpu::op::none, tenon::exec::cpu::op::none, n, n, n, a.data(), n, b.data(), n, 0.f, c.data(), n);
    if (i >= 2) best = std::min(best, milliseconds_since(start));
  }
  return 2e-6 * double(n * n * n) / best;
}

}  // namespace bench
