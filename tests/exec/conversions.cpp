#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "support/test.hpp"
#include "tenon/exec/cpu/vector.hpp"

/// Conversions between fp32 and the 16-bit types, one value at a time and in registers: every 16-bit value, every tie
/// between neighbours and both sides of it, against LibTorch's own conversions.

using namespace tenon;

namespace {

float reference_widen(nn::fp16 x) { return c10::Half(x.bits, c10::Half::from_bits()); }
float reference_widen(nn::bf16 x) { return c10::BFloat16(x.bits, c10::BFloat16::from_bits()); }
std::uint16_t reference_narrow(float x, nn::fp16) { return c10::Half(x).x; }
std::uint16_t reference_narrow(float x, nn::bf16) { return c10::BFloat16(x).x; }

template <class T>
bool is_nan(T x) {
  return std::isnan(reference_widen(x));
}

/// Every 16-bit value and, for finite neighbours, the tie between them and the fp32 values next to the tie.
template <class T>
std::vector<float> interesting() {
  std::vector<float> v;
  for (std::uint32_t u = 0; u < 65536; ++u) {
    T const x{std::uint16_t(u)};
    v.push_back(reference_widen(x));
    T const next{std::uint16_t(u + 1)};
    if (is_nan(x) || is_nan(next) || !std::isfinite(reference_widen(x)) || (u & 0x7fffu) == 0x7fffu) continue;
    double const beyond = std::isfinite(reference_widen(next)) ? double(reference_widen(next))
                                                               : 2 * double(reference_widen(x)) - double(reference_widen(T{std::uint16_t(u - 1)}));
    float const tie = float((double(reference_widen(x)) + beyond) / 2);
    for (float t : {tie, std::nextafter(tie, -INFINITY), std::nextafter(tie, INFINITY)}) v.push_back(t);
  }
  for (float t : {std::numeric_limits<float>::max(), std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::min(), INFINITY, std::numeric_limits<float>::quiet_NaN(),
                  std::bit_cast<float>(0x7f800001u), std::bit_cast<float>(0x7fffffffu), std::bit_cast<float>(0x7f80ffffu)})
    v.push_back(t), v.push_back(-t);
  return v;
}

template <class T>
void exhaustive() {
  std::vector<T> all;
  for (std::uint32_t u = 0; u < 65536; ++u) all.push_back(T{std::uint16_t(u)});
  std::vector<float> widened(all.size());
  exec::cpu::widen(all.data(), widened.data(), std::int64_t(all.size()));
  std::size_t wrong = 0;
  for (std::size_t u = 0; u < all.size(); ++u) {
    float const want = reference_widen(all[u]), one = nn::widen(all[u]);
    bool const same = std::isnan(want) ? std::isnan(one) && std::isnan(widened[u]) && std::signbit(one) == bool(u >> 15)
                                       : std::bit_cast<std::uint32_t>(one) == std::bit_cast<std::uint32_t>(want) && std::bit_cast<std::uint32_t>(widened[u]) == std::bit_cast<std::uint32_t>(want);
    wrong += !same;
  }
  EXPECT_EQ(wrong, 0);

  auto const values = interesting<T>();
  EXPECT(values.size() > 4 * 60000);
  std::vector<T> narrowed(values.size());
  exec::cpu::narrow(values.data(), narrowed.data(), std::int64_t(values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    T const one = nn::narrow<T>(values[i]);
    bool const same = std::isnan(values[i]) ? is_nan(one) && is_nan(narrowed[i]) && (one.bits >> 15) == std::uint16_t(std::signbit(values[i]))
                                            : one.bits == reference_narrow(values[i], T{}) && narrowed[i].bits == one.bits;
    wrong += !same;
  }
  EXPECT_EQ(wrong, 0);

  // Lengths around a register: the tail is converted like the rest and nothing beyond it is touched.
  for (std::size_t n = 0; n < 40; ++n) {
    std::vector<T> some(41, T{0x1234});
    exec::cpu::narrow(values.data(), some.data(), std::int64_t(n));
    for (std::size_t i = 0; i < some.size(); ++i) REQUIRE(some[i].bits == (i < n ? narrowed[i].bits : 0x1234));
    std::vector<float> out(41, 7.f);
    exec::cpu::widen(all.data() + 0x3c00, out.data(), std::int64_t(n));
    for (std::size_t i = 0; i < out.size(); ++i) REQUIRE(out[i] == (i < n ? reference_widen(all[0x3c00 + i]) : 7.f));
  }
}

}  // namespace

TEST("bf16: every value, every tie, NaN, infinities, subnormals") { exhaustive<nn::bf16>(); }
TEST("fp16: every value, every tie, NaN, infinities, subnormals") { exhaustive<nn::fp16>(); }

TEST("edges, by hand") {
  EXPECT_EQ(nn::narrow<nn::fp16>(65519.f).bits, 0x7bff);  // the largest
  EXPECT_EQ(nn::narrow<nn::fp16>(65520.f).bits, 0x7c00);  // a tie goes to even, which is infinity
  EXPECT_EQ(nn::narrow<nn::fp16>(0x1p-24f).bits, 1);      // the smallest
  EXPECT_EQ(nn::narrow<nn::fp16>(0x1p-25f).bits, 0);      // a tie goes to even, which is zero
  EXPECT_EQ(nn::narrow<nn::fp16>(-0x1.8p-25f).bits, 0x8001);
  EXPECT_EQ(nn::narrow<nn::bf16>(1 + 0x1p-8f).bits, 0x3f80);
  EXPECT_EQ(nn::narrow<nn::bf16>(1 + 0x3p-8f).bits, 0x3f82);
  EXPECT_EQ(nn::narrow<nn::bf16>(std::numeric_limits<float>::max()).bits, 0x7f80);
}
