#include "tenon/data/baseline.hpp"

#include <cmath>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "data/python.hpp"
#include "support/test.hpp"

namespace {
using tenon::data::ngram_baseline;

struct rows {
  static constexpr std::int64_t vocabulary = 50, sequence = 37, samples = 120;
  std::vector<std::int32_t> tokens, targets, start;
  rows() {  // as in ngram_oracle.py
    std::uint64_t state = 12345;
    auto draw = [&](std::uint64_t n) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      return std::int32_t((state >> 33) % n);
    };
    for (std::int64_t s = 0; s < samples; ++s) {
      std::int32_t begin = 0, last = 0;
      for (std::int32_t r = 0; r < sequence; ++r) {
        if (r > 0 && draw(9) == 0) begin = r, last = 0;
        std::int32_t target = 0;
        if (draw(5) != 0)
          target = (last * 3 + draw(4)) % std::int32_t(vocabulary);
        else
          target = draw(vocabulary);
        if (s == samples - 1 && r >= 20) target = -1;
        tokens.push_back(last), targets.push_back(target), start.push_back(begin);
        last = target < 0 ? 0 : target;
      }
    }
  }
};

TEST("unigram and trigram bits equal those of an independent implementation") {
  rows const x;
  constexpr std::int64_t half = rows::samples / 2, cut = half * rows::sequence;
  ngram_baseline b(rows::vocabulary);
  for (std::int64_t s = 0; s < half; ++s) {  // piece by piece
    auto const at = s * rows::sequence;
    b.consume(&x.tokens[std::size_t(at)], &x.targets[std::size_t(at)], &x.start[std::size_t(at)], 1, rows::sequence);
  }
  auto const bits = b.bits(&x.tokens[cut], &x.targets[cut], &x.start[cut], rows::samples - half, rows::sequence);
  EXPECT_EQ(b.consumed(), cut);
  EXPECT_EQ(bits.targets, (rows::samples - half) * rows::sequence - 17);
  double unigram = 0, trigram = 0;
  SUBCASE("the golden figures") { unigram = 12277.091064014, trigram = 8364.021332861; }
  SUBCASE("the script as it is today") {
    tenon_test::scratch d;
    tenon_test::python("ngram_oracle.py", "> " + (d.path / "out").string());
    std::istringstream(tenon_test::slurp(d.path / "out")) >> unigram >> trigram;
  }
  EXPECT_NEAR(bits.unigram, unigram, 1e-6 * unigram);
  EXPECT_NEAR(bits.trigram, trigram, 1e-6 * trigram);
  EXPECT(bits.trigram < bits.unigram);
}

TEST("the probabilities of all tokens add up to one in every context") {
  rows const x;
  ngram_baseline b(rows::vocabulary);
  auto sums_to_one = [&](std::int32_t u, std::int32_t v, std::int32_t start) {
    double one = 0, three = 0;
    for (std::int32_t w = 0; w < rows::vocabulary; ++w) {
      std::int32_t const tokens[] = {u, v}, targets[] = {-1, w}, starts[] = {0, start};
      auto const bits = b.bits(tokens, targets, starts, 1, 2);
      one += std::exp2(-bits.unigram), three += std::exp2(-bits.trigram);
    }
    EXPECT_NEAR(one, 1, 1e-9);
    EXPECT_NEAR(three, 1, 1e-9);
  };
  sums_to_one(3, 4, 0);  // nothing seen yet: uniform
  b.consume(x.tokens.data(), x.targets.data(), x.start.data(), 40, rows::sequence);
  for (std::int32_t u = 0; u < 50; u += 7) {
    for (std::int32_t v = 0; v < 50; v += 3) sums_to_one(u, v, 0), sums_to_one(u, v, 1);
  }
}

TEST("a vocabulary too large for its keys is refused") { EXPECT_THROWS_WITH(ngram_baseline(1 << 21), "2^21"); }

}  // namespace
