#include <ATen/core/PhiloxRNGEngine.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/test.hpp"
#include "tenon/core/philox.hpp"

using namespace tenon;
using words = std::array<std::uint32_t, 4>;

TEST("Philox4x32-10: the known answers that its authors publish") {
  static_assert(philox({0, 0, 0, 0}, {0, 0}) == words{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  EXPECT((philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) == words{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}));
  EXPECT((philox({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, {0xa4093822u, 0x299f31d0u}) ==
          words{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}));
}

TEST("the same words as LibTorch's Philox, at any seed, subsequence and offset") {
  std::uint64_t mix = 1;
  for (int i = 0; i < 2000; ++i) {
    auto const draw = [&] { return mix = mix * 6364136223846793005ull + 1442695040888963407ull; };
    std::uint64_t const seed = draw() ^ draw() >> 31, subsequence = draw() ^ draw() >> 29, offset = i % 2 ? draw() : std::uint64_t(i);
    at::Philox4_32 engine(seed, subsequence, offset);
    auto const have = philox({std::uint32_t(offset), std::uint32_t(offset >> 32), std::uint32_t(subsequence), std::uint32_t(subsequence >> 32)},
                             {std::uint32_t(seed), std::uint32_t(seed >> 32)});
    for (auto w : have) REQUIRE(w == engine());
  }
}

TEST("a stream is a function of seed, name, step and index") {
  random_stream const a(1, "w"), same(1, "w");
  EXPECT(a.words(7) == same.words(7));
  for (auto const& other : {random_stream(2, "w"), random_stream(1, "v"), random_stream(1, "w", 1), random_stream(std::uint64_t{1} << 32 | 1, "w")}) {
    int equal = 0;
    for (std::uint64_t i = 0; i < 1000; ++i) equal += a.words(i) == other.words(i);
    EXPECT_EQ(equal, 0);
  }
  EXPECT(a.words(1) != a.words(std::uint64_t{1} << 32 | 1));
}

namespace {

/// Largest distance between the empirical distribution and `cdf` (Kolmogorov's statistic), times sqrt(n).
template <class Cdf>
double kolmogorov(std::vector<double> x, Cdf cdf) {
  std::sort(x.begin(), x.end());
  double worst = 0, n = double(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) worst = std::max({worst, std::abs(cdf(x[i]) - double(i) / n), std::abs(cdf(x[i]) - double(i + 1) / n)});
  return worst * std::sqrt(n);
}

}  // namespace

TEST("uniform and normal draws have their distributions") {
  std::vector<double> u, z;
  random_stream const a(42, "draws");
  for (std::uint64_t i = 0; i < 100000; ++i) u.push_back(a.uniform(i)), z.push_back(a.normal(i));
  for (double x : u) REQUIRE((x >= 0 && x < 1));
  // 1.95 is exceeded once in a thousand tries; the draws are always the same ones.
  EXPECT(kolmogorov(u, [](double x) { return x; }) < 1.95);
  EXPECT(kolmogorov(z, [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.)); }) < 1.95);
  double neighbours = 0;
  for (std::size_t i = 1; i < z.size(); ++i) neighbours += z[i] * z[i - 1];
  EXPECT(std::abs(neighbours / std::sqrt(double(z.size()))) < 3.5);
}
