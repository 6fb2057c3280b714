// The exchange of a recipe on ranks with a GPU each: what NCCL adds (tests/cuda/ranks.cpp counts it), at the target's link.
#include "support/test.hpp"
#include "tenon/app/exchange_text.hpp"
#include "tenon/variants/base.hpp"

using namespace tenon;

namespace {

constexpr auto wide = variants::base.with(parallel::ddp{.ranks = 8});
using wide_model = models::of_recipe<wide>;
constexpr auto one = plan<variants::base>, each = plan<wide>;
constexpr auto exchange = app::exchange_of<wide>(wide, each);
// A ring: 2 * 7 / 8 of the gradient goes out of each rank, and its seconds are those of NVLink's 450 GB/s.
static_assert(each.total() < one.total() && each.gradient_bytes == one.gradient_bytes);  // a rank sends fewer rows ahead
static_assert(exchange.bytes <= each.gradient_bytes / 8 * 14 && exchange.bytes > each.gradient_bytes / 8 * 14 - 64 * 16);
static_assert(wide.target.facts().link == 450);

}  // namespace

TEST("a plan for ranks on GPUs has the buckets that the GPU's step adds, and its link's time") {
  auto const buckets = parallel::make_buckets(parallel::readiness<wide_model>::places(), wide.parallel.bucket.get().count, 4);
  EXPECT_EQ(exchange.buckets, int(buckets.all.size()));
  EXPECT_NEAR(exchange.seconds, double(exchange.bytes) / 450e9, 1e-9);
  EXPECT(exchange.hidden() > 0.5);
  EXPECT(app::exchange_plan_text<wide>(wide, each).find("ms at the target's link") != std::string::npos);
}
