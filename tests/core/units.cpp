#include "tenon/core/units.hpp"

#include <type_traits>

#include "support/test.hpp"

namespace {

using namespace tenon;
using namespace tenon::literals;

template <class A, class B>
concept adds = requires(A a, B b) {
  a + b;
};
template <class A, class B>
concept compares = requires(A a, B b) {
  a < b;
};
template <class A, class B>
concept equals = requires(A a, B b) {
  a == b;
};
template <class A, class B>
concept assigns = requires(A a, B b) {
  a = b;
};
template <class A, class B>
concept multiplies = requires(A a, B b) {
  a* b;
};

// What must not compile: units mixed with each other or with plain numbers.
static_assert(adds<steps, steps> && !adds<steps, micro_steps> && !adds<samples, tokens> && !adds<epochs, steps>);
static_assert(!adds<steps, int> && !adds<int, steps> && !compares<steps, int> && !equals<tokens, int>);
static_assert(compares<tokens, tokens> && !compares<tokens, samples> && !equals<steps, micro_steps>);
static_assert(!assigns<steps, micro_steps> && !assigns<steps, int> && !assigns<samples, tokens>);
static_assert(!multiplies<samples, tokens> && multiplies<samples, int>);
static_assert(!std::is_convertible_v<int, steps> && !std::is_convertible_v<steps, int>);
static_assert(!std::is_convertible_v<steps, std::int64_t> && std::is_constructible_v<steps, int>);

// A part of the run is steps, tokens or percent; a point epochs or steps; a period steps or minutes. Nothing else.
static_assert(std::is_convertible_v<steps, span_of_run> && std::is_convertible_v<tokens, span_of_run> &&
              std::is_convertible_v<percent, span_of_run>);
static_assert(!std::is_convertible_v<samples, span_of_run> && !std::is_convertible_v<int, span_of_run> &&
              !std::is_convertible_v<minutes, span_of_run> && !std::is_convertible_v<double, span_of_run>);
static_assert(!std::is_convertible_v<tokens, point_of_run> && std::is_convertible_v<epochs, point_of_run>);
static_assert(!std::is_convertible_v<epochs, period> && std::is_convertible_v<minutes, period>);

TEST("S2: units keep their arithmetic to themselves") {
  EXPECT(20_steps + 5_steps == 25_steps);
  EXPECT((20_steps - 5_steps).count == 15);
  EXPECT((4'096_tokens * 3).count == 12'288);
  EXPECT((2 * 4_samples).count == 8);
  EXPECT(256_samples / 4_samples == 64);
  EXPECT((256_samples / 3).count == 85);
  EXPECT(10_samples % 4_samples == 2);
  EXPECT(3_epochs < 4_epochs);
  steps n{1};
  ++n;
  n += 2_steps;
  n -= 1_steps;
  EXPECT(n == 3_steps);
  EXPECT((24_GiB).count == 25'769'803'776);
  EXPECT((3_MiB).count == 3'145'728);
}

TEST("a span of the run resolves to steps") {
  EXPECT(span_of_run{7_steps}.resolve(100_steps, 10_tokens) == 7_steps);
  EXPECT(span_of_run{5_percent}.resolve(1'000_steps, 10_tokens) == 50_steps);
  EXPECT(span_of_run{2.5_percent}.resolve(1'000_steps, 10_tokens) == 25_steps);
  EXPECT(span_of_run{1_percent}.resolve(149_steps, 10_tokens) == 1_steps);  // 1.49 is nearest to 1
  EXPECT(span_of_run{1_percent}.resolve(150_steps, 10_tokens) == 2_steps);  // 1.5 rounds up
  EXPECT(span_of_run{21_tokens}.resolve(100_steps, 10_tokens) == 3_steps);  // tokens cover whole steps
  EXPECT(span_of_run{20_tokens}.resolve(100_steps, 10_tokens) == 2_steps);
  EXPECT(span_of_run{20_tokens}.resolve(100_steps, 0_tokens) == 0_steps);
}

}  // namespace
