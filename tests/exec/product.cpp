#include "tenon/exec/cpu/product.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>

#include <limits>

#include "exec/compare.hpp"
#include "tenon/exec/cpu/executor.hpp"

/// The team's matrix product against LibTorch's in fp64: both directions of both operands, sizes that are no multiple of
/// a tile, sums longer than one pass, each input and output type; and the same bits for any number of members.

using namespace tenon;
using exec::cpu::operand;

namespace {

/// A matrix of `lines` x `k`, stored along k or along the lines in rows that are `extra` longer.
template <class T>
struct matrix {
  matrix(std::int64_t lines, std::int64_t k, bool along_k, std::int64_t extra, std::uint64_t seed)
      : rows(along_k ? lines : k), columns(along_k ? k : lines), stride(columns + extra),
        values(random_values<T>(rows * stride, seed)), along_k(along_k) {}
  operand<T> view() const { return along_k ? operand<T>{values.data(), stride, 1} : operand<T>{values.data(), 1, stride}; }
  at::Tensor tensor() const {  // [lines, k]
    auto const t = wide(values, {rows, stride}).detach().slice(1, 0, columns);
    return along_k ? t : t.t();
  }
  std::int64_t rows, columns, stride;
  std::vector<T> values;
  bool along_k;
};

template <class T, class Target>
void run(int members, std::int64_t m, std::int64_t n, std::int64_t k, matrix<T> const& a, matrix<T> const& b, Target target) {
  using namespace exec;
  auto const panel = panel_lines * std::max(k, product_depth);
  std::vector<float> shared, own;
  shared.resize(std::size_t(product_workspace(m, k, true)));
  own.resize(std::size_t(panel * members));
  cpu::team team(members);
  auto region = [&](int member) {
    cpu::executor<T> x(team, member, nullptr, nullptr);
    cpu::product(x, m, n, k, a.view(), b.view(), target, reinterpret_cast<cpu::word<T>*>(shared.data()),
                 reinterpret_cast<cpu::word<T>*>(own.data() + member * panel));
  };
  team.run(region);
}

template <class T>
void fp32_result(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t extra = 8) {
  for (bool left : {true, false})
    for (bool right : {true, false}) {
      matrix<T> const a(m, k, left, extra, 1), b(n, k, right, extra, 2);
      auto const base = random_values<float>(m * (n + 3), 3);
      auto const product = at::matmul(a.tensor(), b.tensor().t()), before = wide(base, {m, n + 3}).detach().slice(1, 0, n);
      for (int what : {0, 1, 2}) {  // alone, on top of another buffer, on top of the target
        std::vector<float> first;
        for (int members : {1, 2, 3}) {
          auto c = what == 2 ? base : std::vector<float>(base.size(), std::numeric_limits<float>::quiet_NaN());
          run(members, m, n, k, a, b, exec::cpu::fp32_target{c.data(), n + 3, what == 0 ? nullptr : what == 1 ? base.data() : c.data(), n + 3});
          std::vector<float> have;
          for (std::int64_t i = 0; i < m; ++i) {
            have.insert(have.end(), c.begin() + i * (n + 3), c.begin() + i * (n + 3) + n);
            for (std::int64_t j = n; j < n + 3; ++j)  // nothing beyond a row is touched
              REQUIRE((what == 2 ? c[std::size_t(i * (n + 3) + j)] == base[std::size_t(i * (n + 3) + j)] : std::isnan(c[std::size_t(i * (n + 3) + j)])));
          }
          expect_close(have, what == 0 ? product : product + before, 1e-5);
          if (members == 1) first = have;
          EXPECT(have == first);
        }
      }
    }
}

template <class T>
void narrow_result(std::int64_t m, std::int64_t n, std::int64_t k) {
  matrix<T> const a(m, k, true, 0, 1), b(n, k, true, 0, 2);
  auto const want = at::matmul(a.tensor(), b.tensor().t());
  std::vector<T> first;
  for (int members : {1, 2, 3}) {
    std::vector<T> have(std::size_t(m * n));
    run(members, m, n, k, a, b, exec::cpu::narrow_target<T>{have.data(), n});
    expect_close(have, want, rounding<T>);
    if (members == 1) first = have;
    for (std::size_t i = 0; i < have.size(); ++i) REQUIRE(have[i].bits == first[i].bits);
  }
}

template <class T>
void sizes() {
  fp32_result<T>(1, 1, 1);
  fp32_result<T>(5, 17, 3);
  fp32_result<T>(8, 48, 64);
  fp32_result<T>(70, 100, 33);
  fp32_result<T>(130, 97, 1100);   // more than one pass over k
  fp32_result<T>(2100, 49, 40);    // more lines than are packed at a time
  fp32_result<T>(64, 64, 96, 1024 - 64);  // rows of whole pages
}

}  // namespace

TEST("the team's product of fp32") { sizes<float>(); }
TEST("the team's product of bf16 with fp32 sums") { sizes<nn::bf16>(); }
TEST("the team's product of fp16 with fp32 sums") { sizes<nn::fp16>(); }
TEST("the team's product rounded to 16 bits") {
  narrow_result<nn::bf16>(70, 100, 1100);
  narrow_result<nn::fp16>(70, 100, 1101);
  narrow_result<nn::bf16>(3, 5, 7);
}

TEST("NaN and infinity in an operand reach the sums that read them and no others") {
  matrix<float> a(20, 30, true, 0, 1), b(50, 30, true, 0, 2);
  a.values[7 * 30 + 3] = std::numeric_limits<float>::quiet_NaN();
  b.values[49 * 30 + 29] = std::numeric_limits<float>::infinity();
  std::vector<float> c(20 * 50);
  run(2, 20, 50, 30, a, b, exec::cpu::fp32_target{c.data(), 50, nullptr, 0});
  for (int i = 0; i < 20; ++i)
    for (int j = 0; j < 50; ++j) EXPECT_EQ(!std::isfinite(c[std::size_t(i * 50 + j)]), i == 7 || j == 49);
}
