#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>

#include <limits>

#include "exec/compare.hpp"
#include "tenon/exec/cpu/loss_kernels.hpp"
#include "tenon/exec/cpu/norm_kernels.hpp"

/// Each row kernel, forward and backward, against LibTorch's operators and their autograd in fp64; widths that fill whole
/// registers, that do not, and that cross an inner tile.

using namespace tenon;
using namespace tenon::exec::cpu;

namespace {

template <class F>
void for_each_type(F&& f) {
  f(float{});
  f(nn::bf16{});
  f(nn::fp16{});
}

template <int N, class T>
void rmsnorm_width() {
  constexpr float epsilon = 1e-5f;
  auto const in = random_values<float>(N, 1, 2), d_out = random_values<float>(N, 3), before = random_values<float>(N, 4), weight_before = random_values<float>(N, 5);
  auto const weight = random_values<T>(N, 2);
  auto const x = wide(in, {N}), w = wide(weight, {N});
  auto const y = w * x * at::rsqrt(x.pow(2).mean() + double(epsilon));
  y.backward(wide(d_out, {N}).detach());
  std::vector<T> out(N);
  float const inverse = rmsnorm_row<N>(in.data(), weight.data(), epsilon, out.data());
  EXPECT_NEAR(inverse, (x.pow(2).mean() + double(epsilon)).rsqrt().item<double>(), 1e-6);
  expect_close(out, y, rounding<T>);
  auto d_in = before, d_weight = weight_before;  // both are added to
  rmsnorm_row_backward<N>(in.data(), weight.data(), inverse, d_out.data(), d_in.data(), d_weight.data());
  expect_close(d_in, x.grad() + wide(before, {N}).detach(), 1e-5);
  expect_close(d_weight, w.grad() + wide(weight_before, {N}).detach(), 1e-5);
}

template <int N, class T>
void swiglu_width() {
  auto gate = random_values<T>(N, 1, 3), up = random_values<T>(N, 2);
  auto const d_out = random_values<float>(N, 3);
  auto const g = wide(gate, {N}), u = wide(up, {N});
  auto const y = at::silu(g) * u;
  y.backward(wide(d_out, {N}).detach());
  std::vector<T> out(N);
  swiglu_row<N>(gate.data(), up.data(), out.data());
  expect_close(out, y, rounding<T>);
  swiglu_row_backward<N>(d_out.data(), gate.data(), up.data());
  expect_close(gate, g.grad(), rounding<T>);
  expect_close(up, u.grad(), rounding<T>);
}

template <int Dim, class T>
void rotary_width() {
  auto const angles = random_values<float>(Dim / 2, 9, 3);
  std::vector<float> cosine, sine;
  for (float a : angles) cosine.push_back(std::cos(a)), sine.push_back(std::sin(a));
  auto const before = random_values<T>(Dim, 1);
  auto const x = wide(before, {Dim}), c = wide(cosine, {Dim / 2}).detach(), s = wide(sine, {Dim / 2}).detach();
  auto const a = x.slice(0, 0, Dim / 2), b = x.slice(0, Dim / 2);
  auto const y = at::cat(std::vector<at::Tensor>{a * c - b * s, b * c + a * s}, 0);
  auto turned = before;
  rotary_row<Dim>(turned.data(), cosine.data(), sine.data(), 1);
  expect_close(turned, y, rounding<T>);
  // The backward pass is the rotation back.
  auto const gradient = random_values<T>(Dim, 2);
  y.backward(wide(gradient, {Dim}).detach());
  auto d = gradient;
  rotary_row<Dim>(d.data(), cosine.data(), sine.data(), -1);
  expect_close(d, x.grad(), rounding<T>);
}

template <class T>
void cross_entropy_width(std::int64_t vocab, double scale, double shift) {
  auto logits = random_values<float>(vocab, 1, scale);
  for (auto& l : logits) l += float(shift);
  for (std::int64_t target : {std::int64_t{0}, vocab / 2, vocab - 1}) {
    auto const x = wide(logits, {1, vocab});
    auto const loss = at::cross_entropy_loss(x, at::empty({1}, at::kLong).fill_(target), {}, 2, -1);
    (loss * 0.125).backward();
    auto a = logits, b = logits;
    double const expected = loss.item<double>();
    EXPECT_NEAR(cross_entropy_row(a.data(), vocab, std::int32_t(target)), expected, 1e-5 * (1 + expected));
    std::vector<T> d(static_cast<std::size_t>(vocab));
    EXPECT_NEAR(cross_entropy_row_gradient(b.data(), vocab, std::int32_t(target), 0.125f, d.data()), expected, 1e-5 * (1 + expected));
    if constexpr (std::is_same_v<T, float>) {
      auto c = logits;  // the gradient may replace the logits
      cross_entropy_row_gradient(c.data(), vocab, std::int32_t(target), 0.125f, c.data());
      EXPECT(c == b);
      expect_close(c, x.grad(), 1e-5);
    } else {
      expect_close(d, x.grad(), rounding<T>);
    }
  }
}

}  // namespace

TEST("rmsnorm, forward and backward") {
  for_each_type([]<class T>(T) {
    rmsnorm_width<23, T>();
    rmsnorm_width<16, T>();
    rmsnorm_width<48, T>();
    rmsnorm_width<333, T>();
  });
}

TEST("swiglu, forward and backward") {
  for_each_type([]<class T>(T) {
    swiglu_width<21, T>();
    swiglu_width<80, T>();
    swiglu_width<256, T>();
    swiglu_width<300, T>();
  });
}

TEST("swiglu saturates without NaN") {
  std::vector<float> gate{-1e4f, -100, -88, 0, 88, 1e4f, 3e38f}, up(48, 1.f), out(48);
  gate.resize(48, 1.f);
  swiglu_row<48>(gate.data(), up.data(), out.data());
  EXPECT(std::abs(out[0]) == 0.f);
  EXPECT(std::abs(out[1]) < 1e-35f);
  EXPECT_EQ(out[3], 0.f);
  EXPECT_EQ(out[5], 1e4f);
  std::vector<float> const d(48, 1.f);
  swiglu_row_backward<48>(d.data(), gate.data(), up.data());
  for (float g : gate) EXPECT(std::isfinite(g));
  EXPECT_EQ(gate[5], 1.f);
  EXPECT_EQ(gate[3], 0.5f);
}

TEST("rotary, there and back") {
  for_each_type([]<class T>(T) {
    rotary_width<36, T>();
    rotary_width<34, T>();
    rotary_width<64, T>();
  });
}

TEST("cross-entropy and its gradient") {
  for_each_type([]<class T>(T) {
    cross_entropy_width<T>(29, 1, 0);
    cross_entropy_width<T>(1003, 3, 0);
    cross_entropy_width<T>(64, 1, 90);    // exp alone would overflow
    cross_entropy_width<T>(64, 1, -200);  // and here underflow
  });
}

TEST("largest value and sum of exponentials, at every length around a register") {
  for (std::int64_t n = 1; n < 3 * lanes + 2; ++n)
    for (std::int64_t at = 0; at < n; ++at) {
      std::vector<float> x(std::size_t(n), -3.f);
      x[std::size_t(at)] = -1.f;
      EXPECT_EQ(max_of(x.data(), n), -1.f);
      EXPECT_NEAR(exp_sum(x.data(), n, -1.f), 1 + double(n - 1) * std::exp(-2.), 1e-5);
      EXPECT_NEAR(x[std::size_t(at)], 1, 1e-6);
    }
}
