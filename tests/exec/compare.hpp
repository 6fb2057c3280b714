#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/test.hpp"
#include "tenon/core/philox.hpp"
#include "tenon/nn/dtype.hpp"

/// Comparing a kernel's output with LibTorch's operators in fp64.

/// N(0, scale), rounded to T.
template <class T>
std::vector<T> random_values(std::int64_t n, std::uint64_t seed, double scale = 1) {
  std::vector<T> v;
  tenon::random_stream const random(seed, "values");
  for (std::int64_t i = 0; i < n; ++i) v.push_back(tenon::nn::narrow<T>(float(scale * random.normal(std::uint64_t(i)))));
  return v;
}

/// A copy in fp64 that takes gradients.
template <class T>
at::Tensor wide(std::vector<T> const& v, at::IntArrayRef shape) {
  auto t = at::empty(shape, at::kDouble);
  for (std::size_t i = 0; i < v.size(); ++i) t.mutable_data_ptr<double>()[i] = double(tenon::nn::widen(v[i]));
  return t.requires_grad_(true);
}

/// What one rounding to T may cost, relative: fp32 has room for a sum of a few hundred terms.
template <class T>
constexpr double rounding = std::is_same_v<T, float> ? 1e-5 : std::is_same_v<T, tenon::nn::bf16> ? 0x1p-8 : 0x1p-10;

/// Every element: |have - want| <= tolerance * (|want| + root mean square of want), or <= tolerance where all are zero.
template <class T>
void expect_close(std::vector<T> const& have, at::Tensor const& wanted, double tolerance) {
  auto const want = wanted.detach().to(at::kDouble).contiguous();
  REQUIRE(std::int64_t(have.size()) == want.numel());
  double const* const w = want.const_data_ptr<double>();
  double squares = 0;
  for (std::size_t i = 0; i < have.size(); ++i) squares += w[i] * w[i];
  double const typical = squares > 0 ? std::sqrt(squares / double(have.size())) : 1;
  std::size_t worst = 0;
  double excess = -1;
  for (std::size_t i = 0; i < have.size(); ++i) {
    double const e = std::abs(double(tenon::nn::widen(have[i])) - w[i]) / (std::abs(w[i]) + typical);
    if (!(e <= excess)) worst = i, excess = e;
    if (std::isnan(e)) break;
  }
  DOCTEST_INFO("element " << worst << ": " << tenon::nn::widen(have[worst]) << " against " << w[worst]);
  EXPECT(excess <= tolerance);
}
