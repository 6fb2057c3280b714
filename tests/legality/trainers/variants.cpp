// Every shipped variant, with its own policies, on the small shape and a CPU.
#include "legality/trainers.hpp"
#include "tenon/variants/base.hpp"
#include "tenon/variants/pro.hpp"
#include "tenon/variants/ultra.hpp"

namespace {

namespace tn = tenon;
using namespace tenon::literals;

/// The variant at a size that this test can pay for; its precision stays, emulated where need be.
template <class Recipe>
constexpr auto small(Recipe const& r) {
  return r.with(tn::whole{shipped::small}, tn::target::cpu{}, tn::horizon{20_steps}).edit([](auto& one) {
    one.batch.sequence = 16_tokens, one.batch.global = 4_samples, one.batch.micro = 2_samples;
    one.schedule.warmup = 1_steps;
    one.precision.emulated = true;
  });
}
inline constexpr auto base = small(tn::variants::base);
inline constexpr auto pro = small(tn::variants::pro);
inline constexpr auto ultra = small(tn::variants::ultra);

TEST("the shipped variants train and resume exactly on a small shape; recomputation changes no bit of the loss") {
  auto const a = legality::train_and_resume<base>(), b = legality::train_and_resume<pro>();
  EXPECT_EQ(a.first_loss, b.first_loss);
  EXPECT_EQ(b.first_loss, legality::train_and_resume<ultra>().first_loss);
}

}  // namespace
