// The recipes of examples/ that need no LibTorch are legal, also for a compiler that builds no trainer; and small.
#include "../../examples/own_corpus/own_corpus.hpp"
#include "../../examples/quickstart/quickstart.hpp"
#include "support/test.hpp"
#include "tenon/exec/plan.hpp"

static_assert(tenon::legal<quickstart>);
static_assert(tenon::legal<own_corpus>);

TEST("the examples fit into a small machine") {
  constexpr std::int64_t mebibyte = 1 << 20;
  EXPECT(tenon::make_plan<quickstart>(2).total() < 256 * mebibyte);
  EXPECT(tenon::make_plan<own_corpus>(2).total() < 64 * mebibyte);
}
