#pragma once
// The one door to doctest. c10 and doctest both define CHECK, and with the wrong include order c10's silently wins and
// assertions stop being counted; so doctest's short names are switched off here and tenon's tests use names of their
// own.
#define DOCTEST_CONFIG_NO_SHORT_MACRO_NAMES
#define DOCTEST_CONFIG_SUPER_FAST_ASSERTS
#include <doctest/doctest.h>

#include <string>

#define TEST(name) DOCTEST_TEST_CASE(name)
#define SUBCASE(name) DOCTEST_SUBCASE(name)
#define EXPECT(...) DOCTEST_CHECK(__VA_ARGS__)
#define REQUIRE(...) DOCTEST_REQUIRE(__VA_ARGS__)
#define EXPECT_EQ(a, b) DOCTEST_CHECK_EQ(a, b)

/// Fails unless `expression` throws an exception whose what() contains `part`.
#define EXPECT_THROWS_WITH(expression, part)                   \
  do {                                                         \
    std::string tenon_what = "(nothing was thrown)";           \
    try {                                                      \
      (void)(expression);                                      \
    } catch (std::exception const& tenon_error) {              \
      tenon_what = tenon_error.what();                         \
    }                                                          \
    DOCTEST_INFO("what(): " << tenon_what);                    \
    DOCTEST_CHECK(tenon_what.find(part) != std::string::npos); \
  } while (false)

/// Fails unless |a - b| <= tolerance (absolute).
#define EXPECT_NEAR(a, b, tolerance)                                                       \
  do {                                                                                     \
    double const tenon_a = static_cast<double>(a), tenon_b = static_cast<double>(b);       \
    DOCTEST_INFO(tenon_a << " against " << tenon_b);                                       \
    DOCTEST_CHECK((tenon_a - tenon_b <= (tolerance) && tenon_b - tenon_a <= (tolerance))); \
  } while (false)
