#include "tenon/recipe/recipe.hpp"

#include <string>
#include <type_traits>

#include "recipe/support/recipes.hpp"
#include "support/test.hpp"

namespace {

namespace tn = tenon;
using namespace tenon::literals;
using recipes::tiny;
using recipes::tiny_model;

// Policies come in any order and give the same recipe.
constexpr auto forwards = tn::recipe(tiny_model, tn::precision::fp32{}, tn::horizon{10_steps});
constexpr auto backwards = tn::recipe(tn::horizon{10_steps}, tn::precision::fp32{}, tiny_model);
static_assert(std::is_same_v<decltype(forwards), decltype(backwards)>);
static_assert(backwards.horizon == tn::horizon{10_steps} && backwards.model.hidden == 64);

// Axes left out take their documented defaults.
constexpr auto bare = tn::recipe(tiny_model);
template <class Expected, class Actual>
constexpr bool is = std::is_same_v<Expected, std::remove_cv_t<Actual>>;
static_assert(is<tn::target::native, decltype(bare.target)> && is<tn::precision::native, decltype(bare.precision)>);
static_assert(is<tn::objective::next_token, decltype(bare.objective)> && is<tn::data::corpus, decltype(bare.data)>);
static_assert(is<tn::curriculum::none, decltype(bare.curriculum)> &&
              is<tn::optimizer::adamw, decltype(bare.optimizer)>);
static_assert(is<tn::schedule::warmup_cosine, decltype(bare.schedule)> &&
              is<tn::trainable::all, decltype(bare.trainable)>);
static_assert(is<tn::memory::keep, decltype(bare.memory)> && is<tn::parallel::single, decltype(bare.parallel)>);
static_assert(is<tn::checkpoint::every, decltype(bare.checkpoint)> &&
              is<tn::observe::standard, decltype(bare.observe)>);
static_assert(bare.horizon == tn::horizon{1_epochs} && bare.seed.value == 1);

// .edit changes what it names and keeps the rest; .with replaces an axis; .replace takes the same type.
constexpr auto hotter = tiny.edit([](auto& r) { r.schedule.peak = 2e-3; });
static_assert(hotter.schedule.peak == 2e-3 && hotter.schedule.warmup == tn::span_of_run{100_steps});
static_assert(tiny.schedule.peak == 1e-3, "the base stays as it is");
constexpr auto flat = tiny.with(tn::schedule::constant{.peak = 1e-4}, tn::precision::fp16{.emulated = true});
static_assert(is<tn::schedule::constant, decltype(flat.schedule)> && is<tn::precision::fp16, decltype(flat.precision)>);
static_assert(flat.model.hidden == 64 && flat.batch.micro == 4_samples);
constexpr auto afresh = tiny.replace(tn::schedule::warmup_cosine{.peak = 5e-4});
static_assert(afresh.schedule.peak == 5e-4 && afresh.schedule.warmup == tn::span_of_run{1_percent});
constexpr auto elsewhere = tiny.replace(tn::schedule::constant{.peak = 1e-4}, tn::seed{3}, tn::checkpoint::never{});
static_assert(is<tn::schedule::constant, decltype(elsewhere.schedule)> && elsewhere.seed.value == 3 && elsewhere.model.hidden == 64);

// A policy of one value, or of none, resets nothing when it is put in again; a `whole` says that it is complete.
constexpr auto longer = tiny.with(tn::horizon{2'000_steps}, tn::seed{7}, tn::memory::keep{});
static_assert(longer.horizon == tn::horizon{2'000_steps} && longer.seed.value == 7);
constexpr tn::whole wide{tn::model::deepseek_llm{
    .vocab = 512, .hidden = 128, .layers = 2, .heads = 4, .intermediate = 344, .positions = 256}};
static_assert(tiny.with(wide).model.hidden == 128);
static_assert(is<tn::model::deepseek_llm, decltype(tn::recipe(wide).model)>);

// After a mistake everything is silent.
static_assert(is<tn::invalid, decltype(tn::invalid{}.with(tn::seed{}).edit([](auto&) {}).replace(3, 4))>);

// A recipe is bound by reference; its numbers are constants there.
template <auto const& R>
struct bound {
  static constexpr int width = R.model.hidden;
  static constexpr double first = R.schedule.at(0_steps, total_steps(R.horizon, R.batch), tokens_per_step(R.batch));
};
static_assert(bound<tiny>::width == 64 && bound<tiny>::first == 1e-3 / 100);

// A derived recipe may live in a static member of a template on its base.
template <auto const& Base>
struct smaller {
  static constexpr auto value = Base.edit([](auto& r) { r.batch.global = 8_samples; });
};
static_assert(tn::legal<smaller<tiny>::value> && smaller<tiny>::value.batch.accumulation() == 2);

TEST("every axis is visited once, in the order of the members") {
  std::string names;
  tn::for_each_axis(tiny, [&](auto tag, auto const& policy) {
    static_assert(std::is_same_v<decltype(tag), typename std::remove_cvref_t<decltype(policy)>::axis>);
    names += std::string(decltype(tag)::name) + " ";
  });
  EXPECT_EQ(
      names,
      "model target precision objective horizon batch data curriculum optimizer schedule trainable memory parallel "
      "checkpoint observe seed ");
}

TEST("edit works at run time too") {
  double const peak = 7e-4;
  auto const r = tiny.edit([peak](auto& one) { one.schedule.peak = peak; });
  EXPECT(r.schedule.peak == 7e-4);
  EXPECT(r.model.hidden == 64);
}

}  // namespace
