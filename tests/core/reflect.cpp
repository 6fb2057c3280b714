#include "tenon/core/reflect.hpp"

#include <array>
#include <string>
#include <vector>

#include "support/test.hpp"

namespace {

struct empty {};
struct inner {
  int a = 1;
  double b_2 = 2;
};
template <class T>
struct outer {
  T first{};
  inner nested{};
  std::array<int, 3> list{1, 2, 3};
  bool last_one = true;
};
enum class colour { red, green, deep_blue };
enum class one { only };

static_assert(tenon::num_fields<empty> == 0 && tenon::num_fields<outer<char>> == 4);
static_assert(tenon::field_name<inner, 1> == "b_2");
static_assert(tenon::field_name<outer<long>, 0> == "first" && tenon::field_name<outer<long>, 3> == "last_one");
static_assert(tenon::enumerator_name<colour::deep_blue>() == "deep_blue");
static_assert(tenon::enumerator_name<static_cast<colour>(3)>().empty());
static_assert(tenon::enumerator_names<one>[0] == "only" && tenon::enumerator_names<one>[1].empty());

constexpr int sum(inner v) {
  double all = 0;
  tenon::for_each_field(v, [&](auto, auto& m) { all += static_cast<double>(m); });
  return static_cast<int>(all);
}
static_assert(sum({3, 4}) == 7);

TEST("fields are visited in order, by name, and can be written") {
  outer<int> o{.first = 5};
  std::vector<std::string> names;
  tenon::for_each_field(o, [&](std::string_view name, auto& member) {
    names.emplace_back(name);
    if constexpr (std::is_same_v<std::remove_reference_t<decltype(member)>, int>) member = 9;
  });
  EXPECT(names == std::vector<std::string>{"first", "nested", "list", "last_one"});
  EXPECT(o.first == 9);
  outer<int> const& view = o;
  int seen = 0;
  tenon::for_each_field(view, [&](std::string_view, auto const&) { ++seen; });
  EXPECT(seen == 4);
  int none = 0;
  empty e;
  tenon::for_each_field(e, [&](std::string_view, auto&) { ++none; });
  EXPECT(none == 0);
}

}  // namespace
