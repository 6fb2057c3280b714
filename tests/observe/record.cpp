#include "tenon/observe/record.hpp"

#include "support/test.hpp"

using namespace tenon::observe;

TEST("each record goes to every sink, held or referred to") {
  recorder first;
  sinks both{first, recorder{}};
  static_assert(step_sink<decltype(both)>);
  static_assert(!step_sink<int>);
  both.on_step({.step = 3});
  both.on_evaluation({.step = 4});
  both.on_text({.step = 5, .tag = "", .text = "hello"});
  EXPECT_EQ(first.steps.at(0).step, 3);
  EXPECT_EQ(first.evaluations.at(0).step, 4);
  EXPECT_EQ(first.texts.at(0).text, "hello");
  sinks nested{both};
  nested.on_step({.step = 6});
  EXPECT_EQ(first.steps.at(1).step, 6);
}
