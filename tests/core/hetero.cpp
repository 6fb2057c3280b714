#include "tenon/core/hetero.hpp"

#include <string>

#include "support/test.hpp"

namespace {

TEST("lists of different types are visited in order, and combined") {
  std::string seen;
  tenon::hetero::for_each(tenon::hetero::make(1, 2.5, 'c'), [&](auto v) {
    seen += std::to_string(static_cast<int>(v)) + (std::is_same_v<decltype(v), char> ? "c" : "") + " ";
  });
  EXPECT_EQ(seen, "1 2 99c ");
  static_assert(tenon::hetero::at<1>(tenon::hetero::make(1, 2.5, 'c')) == 2.5);
  std::string pairs;
  tenon::hetero::for_each_combination(
      [&](auto a, auto b) { pairs += std::to_string(int(a)) + std::to_string(int(b)) + " "; },
      tenon::hetero::make(1, 2L), tenon::hetero::make(3u, 4, short{5}));
  EXPECT_EQ(pairs, "13 14 15 23 24 25 ");
}

}  // namespace
