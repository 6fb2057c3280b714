#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>

#include <limits>

#include "exec/compare.hpp"
#include "tenon/exec/cpu/gemm.hpp"

using namespace tenon;
using exec::cpu::op;

namespace {

/// Each transposition and beta, on sub-matrices of wider rows; beta 0 overwrites NaN.
template <class T>
void multiply(std::int64_t m, std::int64_t n, std::int64_t k) {
  for (op a_op : {op::none, op::transpose})
    for (op b_op : {op::none, op::transpose})
      for (float beta : {0.f, 1.f}) {
        auto const stored = [](op o, std::int64_t r, std::int64_t c) { return o == op::none ? std::array{r, c} : std::array{c, r}; };
        auto const as = stored(a_op, m, k), bs = stored(b_op, k, n);
        std::int64_t const lda = as[1] + 3, ldb = bs[1] + 5, ldc = n + 2;
        auto const a = random_values<T>(as[0] * lda, 1), b = random_values<T>(bs[0] * ldb, 2);
        auto c = random_values<float>(m * ldc, 3);
        auto const before = wide(c, {m, ldc}).detach().slice(1, 0, n);
        auto at = wide(a, {as[0], lda}).detach().slice(1, 0, as[1]), bt = wide(b, {bs[0], ldb}).detach().slice(1, 0, bs[1]);
        if (a_op == op::transpose) at = at.t();
        if (b_op == op::transpose) bt = bt.t();
        auto const want = at::matmul(at, bt) + (beta == 0.f ? 0. : 1.) * before;
        auto const guard = c;
        if (beta == 0.f)
          for (std::int64_t i = 0; i < m; ++i) std::fill_n(c.begin() + i * ldc, n, std::numeric_limits<float>::quiet_NaN());
        exec::cpu::gemm(a_op, b_op, m, n, k, a.data(), lda, b.data(), ldb, beta, c.data(), ldc);
        std::vector<float> have;
        for (std::int64_t i = 0; i < m; ++i) {
          have.insert(have.end(), c.begin() + i * ldc, c.begin() + i * ldc + n);
          for (std::int64_t j = n; j < ldc; ++j) REQUIRE(c[std::size_t(i * ldc + j)] == guard[std::size_t(i * ldc + j)]);  // beyond the row
        }
        expect_close(have, want, 1e-5);  // 16-bit inputs are exact here, sums are fp32
      }
}

template <class T>
void sizes() {
  multiply<T>(1, 1, 1);
  multiply<T>(1, 33, 65);
  multiply<T>(47, 1, 16);
  multiply<T>(70, 48, 96);
  multiply<T>(16, 16, 0 + 200);
}

}  // namespace

TEST("matrix products of fp32") { sizes<float>(); }
TEST("matrix products of bf16 with fp32 sums") { sizes<nn::bf16>(); }
TEST("matrix products of fp16 with fp32 sums") { sizes<nn::fp16>(); }

TEST("empty products touch nothing") {
  std::vector<float> a(8, 1.f), c(8, 7.f);
  exec::cpu::gemm(op::none, op::none, 0, 8, 4, a.data(), 4, a.data(), 8, 0.f, c.data(), 8);
  exec::cpu::gemm(op::none, op::none, 4, 0, 2, a.data(), 2, a.data(), 1, 0.f, c.data(), 1);
  for (float x : c) EXPECT_EQ(x, 7.f);
}
