// The golden files are what torch and transformers compute today.
#include "live/live.hpp"
#include "support/test.hpp"

TEST("live: golden files made anew equal the committed ones" * doctest::skip(live::off())) {
  auto const golden = std::filesystem::path(__FILE__).parent_path().parent_path() / "golden";
  auto const result = live::python("goldens.py", golden.string());
  DOCTEST_INFO(result.output);
  EXPECT_EQ(result.code, 0);
  EXPECT(result.output.find(" 0 differences") != std::string::npos);
}

TEST("live: the comparison notices a changed number and a missing tensor" * doctest::skip(live::off())) {
  auto const golden = std::filesystem::path(__FILE__).parent_path().parent_path() / "golden";
  auto const result = live::python("goldens_self_test.py", golden.string());
  DOCTEST_INFO(result.output);
  EXPECT_EQ(result.code, 0);
}
