#include "tenon/core/fixed.hpp"

#include <string_view>
#include <type_traits>

#include "support/test.hpp"
#include "tenon/core/units.hpp"

namespace {

using namespace tenon;

struct sample_policy {
  fixed<int> width = 0;
  fixed<tokens, digest::numbers> length = tokens{7};
  operational<std::string_view> name = "text";
  operational<period> every = period{};
  double rate = 0.5;
};

// A whole-number field takes no fraction, a unit field no other unit, an operational period no epochs.
static_assert(!std::is_constructible_v<fixed<int>, double> && std::is_constructible_v<fixed<int>, int>);
static_assert(!std::is_convertible_v<double, fixed<int>> && std::is_convertible_v<int, fixed<int>>);
static_assert(!std::is_convertible_v<samples, fixed<tokens>> && std::is_convertible_v<tokens, fixed<tokens>>);
static_assert(!std::is_convertible_v<int, fixed<tokens>>);
static_assert(std::is_convertible_v<steps, operational<period>> && !std::is_convertible_v<epochs, operational<period>>);

static_assert(field_traits<fixed<int>>::classification == field_class::fixed);
static_assert(field_traits<fixed<int>>::belongs_to == digest::identity);
static_assert(field_traits<fixed<tokens, digest::layout>>::belongs_to == digest::layout);
static_assert(field_traits<double>::classification == field_class::trajectory);
static_assert(field_traits<double>::belongs_to == digest::numbers);
static_assert(field_traits<operational<int>>::classification == field_class::operational);
static_assert(field_traits<operational<int>>::belongs_to == digest::none);
static_assert(std::is_aggregate_v<sample_policy>);

TEST("fields take designated values and read like what they hold") {
  constexpr sample_policy p{.width = 16, .length = tokens{32}, .name = "body", .every = minutes{10}};
  static_assert(p.width % 5 == 1 && p.length.count == 32);
  EXPECT(p.width == 16);
  EXPECT(p.width * 2 == 32);
  EXPECT(p.length + tokens{1} == tokens{33});
  EXPECT(p.name == "body");
  EXPECT(p.name.size() == 4);
  EXPECT(p.every.in == period::unit::minutes);
  EXPECT(p.every.count == 10);
  sample_policy q = p;
  q.width = 3;
  q.length = tokens{4};
  EXPECT(q.width.get() == 3);
  EXPECT(q.length.get() == tokens{4});
  EXPECT(sample_policy{}.length == tokens{7});
}

}  // namespace
