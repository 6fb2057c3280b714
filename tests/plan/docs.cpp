// The code of docs/plan.md.
#include "support/test.hpp"
#include "tenon/exec/plan.hpp"
#include "tenon/variants/base.hpp"
#include "tenon/variants/pro.hpp"
#include "tenon/variants/ultra.hpp"

namespace tn = tenon;
namespace {
using tn::variants::base;

// docs: begin
static_assert(tn::plan<base>.fits);  // on the recipe's target, with its own numbers

constexpr tn::run_plan shared_by(int ranks, std::int64_t micro) {
  auto numbers = tn::numbers_of(base);
  numbers.ranks = ranks, numbers.micro = micro;
  return tn::make_plan<base>(numbers);  // the same function while compiling and while running
}
static_assert(shared_by(8, 4).micro_batches == 8 && shared_by(8, 2).activation_bytes < shared_by(8, 4).activation_bytes);
// docs: end

}  // namespace

TEST("the variants' plans: Base and Pro fit one H200, Ultra does not fit as a whole") {
  EXPECT(tn::plan<tn::variants::base>.fits);
  EXPECT(tn::plan<tn::variants::pro>.fits);
  EXPECT(!tn::plan<tn::variants::ultra>.fits);
  std::int64_t more = shared_by(8, 4).step_flops;
  EXPECT_EQ(8 * more, tn::plan<base>.step_flops);
}
