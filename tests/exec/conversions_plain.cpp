// The same conversions as on a CPU without instructions for them. The header is read once more under another name, so that
// this program does not hold two definitions of one function.
#undef __F16C__
#define nn nn_plain
#include "tenon/nn/dtype.hpp"
#undef nn

#include <c10/util/Half.h>

#include <bit>
#include <cmath>

#include "support/test.hpp"

namespace plain = tenon::nn_plain;

TEST("fp16 without F16C: every value and every fp32 exponent agree with LibTorch") {
  std::size_t wrong = 0;
  for (std::uint32_t u = 0; u < 65536; ++u) {
    float const have = plain::widen(plain::fp16{std::uint16_t(u)}), want = c10::Half(std::uint16_t(u), c10::Half::from_bits());
    wrong += std::isnan(want) ? !std::isnan(have) : std::bit_cast<std::uint32_t>(have) != std::bit_cast<std::uint32_t>(want);
  }
  EXPECT_EQ(wrong, 0);
  // Every sign and exponent, every upper mantissa, and lower bits on both sides of a tie.
  for (std::uint32_t high = 0; high < (1u << 20); ++high)
    for (std::uint32_t low : {0u, 1u, 0x7ffu, 0x800u, 0x801u, 0xfffu}) {
      float const x = std::bit_cast<float>(high << 12 | low);
      auto const have = plain::narrow<plain::fp16>(x).bits;
      wrong += std::isnan(x) ? (have & 0x7fffu) <= 0x7c00u : have != c10::Half(x).x;
    }
  EXPECT_EQ(wrong, 0);
}
