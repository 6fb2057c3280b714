#include "tenon/train/team_size.hpp"

#include <map>

#include "support/test.hpp"

using tenon::train::team_size;

namespace {

/// Steps whose time is `seconds(members, step)`: how many were made with each number of members, and with which it ends.
template <class F>
std::pair<std::map<int, int>, int> steps(int threads, int count, F&& seconds) {
  team_size t(threads);
  std::map<int, int> made;
  for (int i = 0; i < count; ++i) {
    ++made[t.members()];
    t.took(seconds(t.members(), i));
  }
  return {made, t.members()};
}

}  // namespace

TEST("a step that is worth all threads keeps them; one of many cores tries down to one") {
  auto const [made, last] = steps(16, 4000, [](int members, int) { return 1e-3 / members; });
  EXPECT_EQ(last, 16);
  for (int members : {1, 2, 4, 8}) EXPECT(made.at(members) <= 4 * team_size::tries);
}

TEST("a step that threads hold up goes on with fewer") {
  auto const [made, last] = steps(16, 4000, [](int members, int) { return 1e-4 * (1.0 / members + 0.2 * members); });
  EXPECT_EQ(last, 2);
  EXPECT(made.at(2) > 3000);
}

TEST("the choice follows the machine: fewer while waiting is dear, all again afterwards") {
  auto const time = [](bool dear) { return [dear](int members, int) { return members == 1 ? 3.5e-4 : dear ? 7e-4 : 2.7e-4; }; };
  EXPECT_EQ(steps(2, 4000, time(true)).second, 1);
  EXPECT_EQ(steps(2, 4000, time(false)).second, 2);
  auto const changing = [&](int members, int i) { return time(i < 3000)(members, i); };
  EXPECT_EQ(steps(2, 3000, changing).second, 1);
  EXPECT_EQ(steps(2, 3000 + 2 * team_size::period, changing).second, 2);
}

TEST("long steps are never tried on fewer threads, and one disturbed step decides nothing") {
  EXPECT_EQ(steps(8, 3000, [](int, int) { return 6e-3; }).first.size(), 1u);
  auto const [made, last] = steps(2, 3000, [](int members, int i) { return (members == 1 ? 3.5e-4 : 2.7e-4) * (i % 3 == 0 ? 50 : 1); });
  EXPECT_EQ(last, 2);
  EXPECT_EQ(steps(1, 3000, [](int, int) { return 1e-4; }).first.size(), 1u);
}
