#include "tenon/observe/plot.hpp"

#include <cmath>
#include <limits>

#include "support/test.hpp"

using namespace tenon::observe;

TEST("a warm-up and decay is drawn as one") {
  auto const schedule = [](std::int64_t step) {
    double const s = static_cast<double>(step);
    return 3e-4 * (s < 200 ? (s + 1) / 200 : 1 - (s - 200) / 800);
  };
  EXPECT_EQ(plot(schedule, 1000, 20, 4),
            "3.00e-04 |   ****\n"
            "         | ***  *******\n"
            "         |**          ******\n"
            "0.00e+00 |*                ***\n"
            "         +--------------------\n"
            "          0        1,000 steps\n");
}

TEST("constants, one step, holes and absurd lengths are drawn or left out") {
  EXPECT(plot([](std::int64_t) { return 0.5; }, 10).find("5.00e-01 |*****") != std::string::npos);
  EXPECT(plot([](std::int64_t) { return 1.0; }, 1, 5, 2).find("1 steps") != std::string::npos);
  EXPECT_EQ(plot([](std::int64_t) { return std::nan(""); }, 10), "");
  EXPECT_EQ(plot([](std::int64_t) { return 1.0; }, 0), "");
  std::int64_t last = -1;
  EXPECT(!plot(
              [&](std::int64_t s) {
                return last = std::max(last, s), s < 3 ? std::numeric_limits<double>::infinity() : 1.0;
              },
              std::numeric_limits<std::int64_t>::max())
              .empty());
  EXPECT(last >= 0);
}
