#include "tenon/core/text.hpp"

#include <cstdint>
#include <limits>
#include <string>

#include "support/test.hpp"

namespace {

using namespace tenon;

enum class mode { stop, skip };

template <class T>
T read(std::string_view written) {
  T v{};
  parse_text(written, v);
  return v;
}
template <class T>
bool round_trip(T v) {
  return read<T>(to_text(v)) == v;
}

TEST("numbers survive text exactly") {
  for (double v : {3e-4, 0.1, 1.0 / 3, 1e300, 5e-324, -2.5, 0.0, 65536.0, 0.95}) EXPECT(round_trip(v));
  EXPECT(round_trip(std::numeric_limits<std::uint64_t>::max()));
  EXPECT(round_trip(std::numeric_limits<std::int64_t>::min()));
  EXPECT(round_trip(true));
  EXPECT(round_trip(mode::skip));
  EXPECT_EQ(to_text(3e-4), "3e-04");
  EXPECT_EQ(to_text(true), "true");
}

TEST("units survive text exactly") {
  EXPECT(round_trip(steps{1000}));
  EXPECT(round_trip(micro_steps{2}));
  EXPECT(round_trip(samples{3}));
  EXPECT(round_trip(tokens{20'000'000'000}));
  EXPECT(round_trip(epochs{4}));
  EXPECT(round_trip(minutes{5}));
  EXPECT(round_trip(bytes{25'769'803'776}));
  EXPECT(round_trip(percent{2.5}));
  EXPECT(round_trip(span_of_run{steps{1000}}));
  EXPECT(round_trip(span_of_run{tokens{123'456}}));
  EXPECT(round_trip(span_of_run{percent{0.1}}));
  EXPECT(round_trip(point_of_run{epochs{5}}));
  EXPECT(round_trip(point_of_run{steps{5}}));
  EXPECT(round_trip(period{minutes{10}}));
  EXPECT(round_trip(period{steps{10}}));
}

TEST("what a user types for a unit") {
  EXPECT(read<span_of_run>("1000_steps") == span_of_run{steps{1000}});
  EXPECT(read<span_of_run>("1'000 steps") == span_of_run{steps{1000}});
  EXPECT(read<span_of_run>("1000") == span_of_run{steps{1000}});
  EXPECT(read<span_of_run>("5%") == span_of_run{percent{5}});
  EXPECT(read<span_of_run>("5_percent") == span_of_run{percent{5}});
  EXPECT(read<span_of_run>("2e6_tokens") == span_of_run{tokens{2'000'000}});
  EXPECT(read<period>("10m") == period{minutes{10}});
  EXPECT(read<period>("10") == period{steps{10}});
  EXPECT(read<point_of_run>("5epochs") == point_of_run{epochs{5}});
  EXPECT(read<samples>("8") == samples{8});
  EXPECT(read<steps>("1_step") == steps{1});
  EXPECT(read<bytes>("24_GiB") == bytes{25'769'803'776});
  EXPECT(read<bytes>("1.5GB") == bytes{1'500'000'000});
}

TEST("what does not fit says what would") {
  EXPECT_THROWS_WITH(read<double>("1e-4x"), "\"1e-4x\" is not a number");
  EXPECT_THROWS_WITH(read<double>(""), "is not a number");
  EXPECT_THROWS_WITH(read<double>("nan"), "is not a number");
  EXPECT_THROWS_WITH(read<double>("inf"), "is not a number");
  EXPECT_THROWS_WITH(read<int>("1.5"), "is not a whole number");
  EXPECT_THROWS_WITH(read<int>("99999999999"), "is not a whole number");
  EXPECT_THROWS_WITH(read<std::uint64_t>("-1"), "is not a whole number from 0");
  EXPECT_THROWS_WITH(read<bool>("maybe"), "is not true or false");
  EXPECT_THROWS_WITH(read<mode>("go"), "is not one of stop, skip");
  EXPECT_THROWS_WITH(read<steps>("5_tokens"), "is not a whole number of steps");
  EXPECT_THROWS_WITH(read<steps>("1.5"), "is not a whole number of steps");
  EXPECT_THROWS_WITH(read<span_of_run>("5_epochs"), "is not a part of the run");
  EXPECT_THROWS_WITH(read<point_of_run>("5%"), "is not a point of the run");
  EXPECT_THROWS_WITH(read<period>("5_epochs"), "is not a period");
  EXPECT_THROWS_WITH(read<bytes>("5_TB"), "is not an amount of memory");
  EXPECT_THROWS_WITH(read<percent>("5_steps"), "is not a percentage");
  EXPECT_THROWS_WITH(read<steps>("1e30"), "is not a whole number of steps");
}

TEST("the nearest name is found, and only a near one") {
  EXPECT(edit_distance("", "abc") == 3);
  EXPECT(edit_distance("kitten", "sitting") == 3);
  EXPECT(edit_distance("same", "same") == 0);
  std::vector<std::string> const names{"schedule.peak", "schedule.floor", "plan"};
  EXPECT_EQ(nearest("schedule.paek", names), "schedule.peak");
  EXPECT_EQ(nearest("plna", names), "plan");
  EXPECT_EQ(nearest("qqqqqqqqqqqqqq", names), "");
}

TEST("a kept text outlives what it was read from") {
  std::string_view kept;
  {
    std::string gone = "a text that is long enough not to be stored inside the string object";
    parse_text(gone, kept);
    gone.assign(gone.size(), '#');
  }
  EXPECT_EQ(kept, "a text that is long enough not to be stored inside the string object");
}

}  // namespace
