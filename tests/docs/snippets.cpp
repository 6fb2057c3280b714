// The code of README.md, docs/*.md and examples/README.md that stands in no example: each block there is one of the marked
// regions below (tests/docs/pages.cpp compares them). Regions of one name make one block, in their order.
// clang-format off: the layout is the pages'.
#include <string_view>

#include "support/test.hpp"
#include "tenon/exec/plan.hpp"
#include "tenon/recipe.hpp"
#include "tenon/recipe/describe.hpp"
#include "tenon/recipe/fields.hpp"
#include "tenon/variants/pro.hpp"

namespace {

namespace tn = tenon;
using namespace tenon::literals;

namespace readme {

// [recipe]
inline constexpr auto base = tn::recipe(
    tn::model::deepseek_llm{.vocab = 4'096, .hidden = 256, .layers = 4, .heads = 8, .intermediate = 688},
    tn::precision::fp32{},
    tn::horizon{2'000_steps},
    tn::batch{.sequence = 256_tokens, .global = 16_samples, .micro = 4_samples},
    tn::optimizer::adamw{.weight_decay = 0.1, .clip = 1.0},
    tn::schedule::warmup_cosine{.peak = 1e-3, .warmup = 100_steps, .floor = 0.1},
    tn::checkpoint::every{.period = 500_steps, .keep = 3});

inline constexpr auto hotter = base.edit([](auto& r) { r.schedule.peak = 3e-3; });           // change fields
inline constexpr auto leaner = base.with(tn::memory::recompute{}, tn::optimizer::sgd{});     // other policies

static_assert(tn::legal<base> && tn::legal<hotter> && tn::legal<leaner>);
static_assert(tn::plan<base>.total() < (1_GiB).count);                                       // weights, moments, activations
// [/recipe]

static_assert(leaner.schedule.peak == base.schedule.peak);
static_assert(hotter.schedule.warmup == base.schedule.warmup && hotter.schedule.peak == 3e-3);

}  // namespace readme

namespace fine_tuning {

constexpr auto const& mine = readme::base;
// [fine_tuning]
inline constexpr auto chat = mine.with(tn::objective::sft{}).replace(tn::horizon{3_epochs});
inline constexpr auto light = chat.with(tn::trainable::lora{.rank = 16, .alpha = 32});    // adapters only
inline constexpr auto upper = chat.with(tn::trainable::frozen{.embedding = true});        // all but embedding and head
static_assert(tn::legal<chat> && tn::legal<light> && tn::legal<upper>);
// [/fine_tuning]

}  // namespace fine_tuning

namespace getting_started {

constexpr auto const& base = readme::base;
// [deriving]
inline constexpr auto hotter = base.edit([](auto& r) { r.schedule.peak = 3e-3; });       // some fields; the rest stays
inline constexpr auto steady = base.with(tn::schedule::constant{.peak = 1e-3});          // another policy for an axis
inline constexpr auto coder  = base.with(tn::variants::base_shape, tn::target::h200{});  // plan only: --plan, no launch here
// [/deriving]

static_assert(tn::legal<hotter> && tn::legal<steady> && tn::legal<coder>);
static_assert(tn::plan<coder>.memory == 141'000'000'000);

// [ranks]
inline constexpr auto wide = base.with(tn::parallel::ddp{.ranks = 2});                            // 16 samples: two micro-batches each
inline constexpr auto mesh = base.with(tn::parallel::mesh{tn::parallel::replicate{.ranks = 2}});  // the general form
// [/ranks]
static_assert(tn::legal<wide> && tn::legal<mesh>);

constexpr auto several = base.with(
    // [two_sources]
    tn::horizon{2'000_steps},
    tn::data::mixed({0.7, 0.3})
    // [/two_sources]
);
static_assert(tn::legal<several> && several.data.weights[0] == 0.7);

}  // namespace getting_started

namespace policies {

constexpr auto by_length =
    // [by_length]
    tn::curriculum::by_length({{.until = 5_epochs, .high = 0.3},
                               {.until = 15_epochs, .low = 0.3, .high = 0.7},
                               {.until = 20_epochs, .low = 0.7}})
    // [/by_length]
    ;
static_assert(by_length.list[1].low == 0.3);

constexpr auto mixed =
    // [mixed]
    tn::data::mixed({0.7, 0.3}, {.held_out = 0.1})
    // [/mixed]
    ;
static_assert(mixed.weights[1] == 0.3 && mixed.held_out == 0.1);

constexpr auto const& base = readme::base;
constexpr auto edited =
    // [changing]
    base.edit([](auto& r) { r.schedule.peak = 1e-4; })     // some fields; the rest stays
    // [/changing]
    ;
constexpr auto replaced =
    // [changing]
    base.with(tn::schedule::constant{.peak = 1e-4})        // another policy for an axis
    // [/changing]
    ;
constexpr auto afresh =
    // [changing]
    base.replace(tn::schedule::warmup_cosine{})            // the same policy afresh: fields not given take their defaults
    // [/changing]
    ;
constexpr auto shaped =
    // [changing]
    base.with(tn::variants::pro_shape)                     // a tn::whole{...}: a complete policy under a name
    // [/changing]
    ;
static_assert(edited.schedule.peak == 1e-4 && replaced.schedule.peak == 1e-4);
static_assert(afresh.schedule.peak == 3e-4 && afresh.model.hidden == base.model.hidden);
static_assert(shaped.model.hidden == 4'096);

// [halving]
struct halving {
  using axis = tenon::axis::schedule;
  static constexpr std::string_view kind = "halving";
  double peak = 1e-3;
  tenon::steps every = tenon::steps{100};

  constexpr double at(tenon::steps step, tenon::steps, tenon::tokens) const {
    double rate = peak;
    for (auto n = step / every; n > 0; --n) rate /= 2;
    return rate;
  }
  constexpr tenon::steps ramp(tenon::steps, tenon::tokens) const { return tenon::steps{0}; }
};
constexpr bool in_range(halving const& h) { return h.peak > 0 && h.every > tenon::steps{0}; }  // asked by a rule
// [/halving]

inline constexpr auto with_halving = base.with(halving{.peak = 1e-3});
static_assert(tn::legal<with_halving>);
static_assert(with_halving.schedule.at(250_steps, 1'000_steps, 1_tokens) == 2.5e-4);

}  // namespace policies

}  // namespace

TEST("the recipes of the pages mean what the pages say") {
  EXPECT_EQ(tn::plan<readme::base>.tokens_per_step, 16 * 256);
  EXPECT(tn::plan<readme::leaner>.activation_bytes < tn::plan<readme::base>.activation_bytes);
  EXPECT(tn::describe(readme::hotter).find("inherited") != std::string::npos);
  auto changed = policies::with_halving;
  tn::set_field(changed, "schedule.every", "50_steps");
  EXPECT_EQ(changed.schedule.every.count, 50);
}
