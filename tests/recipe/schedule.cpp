#include "tenon/recipe/schedule.hpp"

#include <cmath>
#include <cstdint>
#include <vector>

#include "support/test.hpp"

// Expected rates were computed with 40 decimal digits outside of this program, from the formulas in schedule.hpp.
namespace {

using namespace tenon;
using namespace tenon::literals;

struct point {
  std::int64_t update;  // counted from 1
  double rate;
};

template <class Schedule, std::size_t N>
void follows(Schedule const& s, steps total, point const (&points)[N]) {
  for (auto const& p : points) {
    double const rate = s.at(steps{p.update - 1}, total, 1'000_tokens);
    DOCTEST_INFO("update " << p.update << ": " << rate << ", expected " << p.rate);
    EXPECT(std::abs(rate - p.rate) <= 1e-15 * (p.rate + 1e-3));
  }
}

TEST("cosine and root are good to the last digits") {
  double worst = 0;
  for (int i = 0; i <= 100'000; ++i) {
    double const x = i / 100'000.0;
    double const exact =
        static_cast<double>(std::cos(3.14159265358979323846264338327950288L * static_cast<long double>(x)));
    worst = std::fmax(worst, std::abs(math::cos_half_turns(x) - exact));
  }
  DOCTEST_INFO("worst error " << worst);
  EXPECT(worst < 3e-16);
  for (double x : {0.0, 1.0, 2.0, 0.5, 1e-12, 3e7, 0.03, 1e300})
    EXPECT(std::abs(math::sqrt(x) - std::sqrt(x)) <= 3e-16 * std::sqrt(x));
  static_assert(math::cos_half_turns(0) == 1 && math::cos_half_turns(1) == -1 && math::cos_half_turns(0.5) == 0);
  static_assert(math::sqrt(9) == 3 && math::sqrt(0.25) == 0.5 && math::sqrt(0) == 0);
}

TEST("warmup_cosine") {
  constexpr schedule::warmup_cosine s{.peak = 3e-4, .warmup = 100_steps, .floor = 0.1};
  follows(s, 1'000_steps,
          {{1, 3e-6},
           {50, 1.5e-4},
           {100, 3e-4},
           {101, 2.9999917753380170149953e-4},
           {325, 2.6045941546018391579411e-4},
           {550, 1.65e-4},
           {999, 3.0000822466198298500472e-5},
           {1000, 3e-5},
           {2000, 3e-5}});
  static_assert(s.at(99_steps, 1'000_steps, 1_tokens) == 3e-4);
  static_assert(s.ramp(1'000_steps, 1_tokens) == 100_steps);
}

TEST("warmup_linear") {
  constexpr schedule::warmup_linear s{.peak = 1e-3, .warmup = 10_percent};
  follows(s, 200_steps,
          {{1, 5e-5},
           {20, 1e-3},
           {21, 9.9444444444444444444444e-4},
           {100, 5.5555555555555555555556e-4},
           {199, 5.5555555555555555555556e-6},
           {200, 0}});
}

TEST("warmup_stable_decay") {
  constexpr schedule::warmup_stable_decay s{.peak = 6e-4, .warmup = 50'000_tokens, .decay = 10_percent, .floor = 0.1};
  follows(s, 1'000_steps,
          {{1, 1.2e-5}, {50, 6e-4}, {51, 6e-4}, {900, 6e-4}, {901, 5.946e-4}, {950, 3.3e-4}, {1000, 6e-5}});
  EXPECT(s.ramp(1'000_steps, 1'000_tokens) == 150_steps);
}

TEST("inverse_sqrt and constant") {
  constexpr schedule::inverse_sqrt s{.peak = 1e-3, .warmup = 30_steps};
  follows(s, 1'000_steps,
          {{1, 3.3333333333333333333333e-5},
           {30, 1e-3},
           {31, 9.8373875367592943463368e-4},
           {120, 5e-4},
           {1000, 1.7320508075688772935274e-4}});
  constexpr schedule::constant c{.peak = 2e-4};
  follows(c, 10_steps, {{1, 2e-4}, {10, 2e-4}});
}

TEST("a schedule without warmup starts near the peak, and compile time agrees with launch") {
  schedule::warmup_cosine s{.peak = 1, .warmup = 0_steps, .floor = 0};
  EXPECT(s.at(0_steps, 2_steps, 1_tokens) == 0.5);
  EXPECT(s.at(1_steps, 2_steps, 1_tokens) == 0);
  constexpr schedule::warmup_cosine c{.peak = 3e-4, .warmup = 7_steps, .floor = 0.1};
  constexpr double compiled = c.at(123_steps, 456_steps, 1_tokens);
  steps volatile_step{123};
  double const now = c.at(volatile_step, 456_steps, 1_tokens);
  EXPECT(std::abs(now - compiled) <= 1e-15 * compiled);
}

template <class S>
void law() {
  S const s{};
  for (auto total : {1_steps, 2_steps, 10_steps, 1'000_steps})
    for (std::int64_t i = 0; i < total.count; ++i) {
      double const rate = s.at(steps{i}, total, 1_tokens);
      EXPECT((rate >= 0 && rate <= s.peak));
    }
  EXPECT(s.ramp(1'000_steps, 1_tokens) <= 1'000_steps);
}

/// Rates of a run, asked for in order, backwards, and from the middle on as a resumed run asks.
template <class S>
void pure() {
  S const s{};
  constexpr steps total{37};
  std::vector<double> forwards;
  for (std::int64_t i = 0; i < total.count; ++i) forwards.push_back(s.at(steps{i}, total, 1_tokens));
  for (std::int64_t i = total.count; i-- > 0;)
    EXPECT_EQ(s.at(steps{i}, total, 1_tokens), forwards[static_cast<std::size_t>(i)]);
  for (std::int64_t i = 20; i < total.count; ++i)
    EXPECT_EQ(S{}.at(steps{i}, total, 1_tokens), forwards[static_cast<std::size_t>(i)]);
}

TEST("S1: a rate is a function of the step alone: nothing to save, nothing that a resume could lose") {
  pure<schedule::constant>();
  pure<schedule::warmup_linear>();
  pure<schedule::warmup_cosine>();
  pure<schedule::warmup_stable_decay>();
  pure<schedule::inverse_sqrt>();
}

TEST("every schedule stays between 0 and its peak") {
  law<schedule::constant>();
  law<schedule::warmup_linear>();
  law<schedule::warmup_cosine>();
  law<schedule::warmup_stable_decay>();
  law<schedule::inverse_sqrt>();
}

}  // namespace
