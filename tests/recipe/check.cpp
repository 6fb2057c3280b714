#include "tenon/recipe/check.hpp"

#include <string>
#include <string_view>

#include "recipe/support/recipes.hpp"
#include "support/test.hpp"
#include "tenon/recipe/violations.hpp"

namespace {

namespace tn = tenon;
using namespace tenon::literals;
using recipes::tiny;

static_assert(tn::legal<tiny> && tn::check<tiny>() && tn::is_legal(tiny));
static_assert(!tn::is_legal(tn::invalid{}));
static_assert(sizeof(tn::checked<tiny>) == 1, "the base of a trainer is empty");

/// Whether a change of the tiny recipe breaks exactly this rule, and whether the launch says the same sentence.
template <class Change>
bool breaks(std::string_view rule, Change change) {
  auto r = tiny.edit(change);
  auto const found = tn::violations(r);
  DOCTEST_INFO("rules broken: " << found.size() << (found.empty() ? "" : ", first: " + found[0].text));
  EXPECT(found.size() == 1);
  return found.size() == 1 && found[0].rule == rule && !tn::is_legal(r) &&
         found[0].text.starts_with("[tenon." + std::string(rule) + "] ");
}

TEST("one mistake breaks one rule") {
  EXPECT(breaks("vocab_given", [](auto& r) { r.model.vocab = 0; }));
  EXPECT(breaks("model_fields_given", [](auto& r) { r.model.layers = 0; }));
  EXPECT(breaks("model_fields_given", [](auto& r) { r.model.heads = 0; }));
  EXPECT(breaks("model_fields_given", [](auto& r) { r.model.kv_heads = -1; }));
  EXPECT(breaks("heads_divide_hidden", [](auto& r) { r.model.heads = 5; }));
  EXPECT(breaks("kv_heads_divide_heads", [](auto& r) { r.model.kv_heads = 3; }));
  EXPECT(breaks("head_width_even", [](auto& r) { r.model.hidden = 60; }));
  EXPECT(breaks("model_numbers_in_range", [](auto& r) { r.model.init_std = 0; }));
  EXPECT(breaks("batch_given", [](auto& r) { r.batch.micro = 0_samples; }));
  EXPECT(breaks("micro_divides_global", [](auto& r) { r.batch.micro = 3_samples; }));
  EXPECT(breaks("sequence_within_positions", [](auto& r) { r.batch.sequence = 257_tokens; }));
  EXPECT(breaks("target_memory_given", [](auto& r) { r.target.memory = 0_GiB; }));
  EXPECT(breaks("horizon_given", [](auto& r) { r.horizon = 0_steps; }));
  EXPECT(breaks("schedule_in_range", [](auto& r) { r.schedule.peak = 0; }));
  EXPECT(breaks("schedule_in_range", [](auto& r) { r.schedule.floor = 1.5; }));
  EXPECT(breaks("schedule_in_range", [](auto& r) { r.schedule.warmup = tn::percent{-1}; }));
  EXPECT(breaks("warmup_within_horizon", [](auto& r) { r.schedule.warmup = 1'001_steps; }));
  EXPECT(breaks("betas_in_range", [](auto& r) { r.optimizer.beta1 = 1; }));
  EXPECT(breaks("optimizer_in_range", [](auto& r) { r.optimizer.epsilon = 0; }));
  EXPECT(breaks("optimizer_in_range", [](auto& r) { r.optimizer.weight_decay = -1; }));
  EXPECT(breaks("tokenizer_within_vocab", [](auto& r) { r.data.tokenizer_vocab = 513; }));
  EXPECT(breaks("tokenizer_covers_bytes", [](auto& r) { r.data.tokenizer_vocab = 256; }));
  EXPECT(breaks("held_out_in_range", [](auto& r) { r.data.held_out = 1; }));
  EXPECT(breaks("checkpoint_in_range", [](auto& r) { r.checkpoint.keep = 0; }));
  EXPECT(breaks("checkpoint_in_range", [](auto& r) { r.checkpoint.period = 0_minutes; }));
  EXPECT(breaks("observe_in_range", [](auto& r) { r.observe.log_every = 0_steps; }));
}

TEST("values that are not numbers are outside of every range") {
  double const nan = __builtin_nan("");
  EXPECT(breaks("schedule_in_range", [nan](auto& r) { r.schedule.peak = nan; }));
  EXPECT(breaks("optimizer_in_range", [nan](auto& r) { r.optimizer.clip = nan; }));
  EXPECT(breaks("held_out_in_range", [nan](auto& r) { r.data.held_out = nan; }));
}

TEST("several mistakes are all found at launch, with their values") {
  auto const r = tiny.edit([](auto& one) {
    one.model.heads = 5;
    one.batch.micro = 3_samples;
    one.optimizer.beta2 = 2;
  });
  auto const found = tn::violations(r);
  REQUIRE(found.size() == 3);
  EXPECT(found[0].text.ends_with("(model.hidden = 64, model.heads = 5)"));
  EXPECT(found[1].text.ends_with("(batch.global = 16, batch.micro = 3)"));
  EXPECT(found[2].text.ends_with("(optimizer.beta1 = 0.9, optimizer.beta2 = 2)"));
  EXPECT_THROWS_WITH(tn::require_legal(r), "[tenon.heads_divide_hidden]");
}

// bf16 on a target that computes it by emulation.
constexpr auto on_v100 = tiny.with(tn::target::v100{}, tn::precision::bf16{});
static_assert(!tn::is_legal(on_v100));
static_assert(tn::is_legal(on_v100.edit([](auto& r) { r.precision.emulated = true; })));
static_assert(tn::is_legal(on_v100.with(tn::precision::fp16{})) && tn::is_legal(on_v100.with(tn::precision::native{})));
static_assert(tn::is_legal(on_v100.with(tn::target::h200{})) && !tn::is_legal(on_v100.with(tn::target::cpu{})));
static_assert(!tn::is_legal(tiny.with(tn::precision::fp16{})));

// A horizon in epochs is comparable with a warmup in steps only once the size of an epoch is known.
constexpr auto by_epoch = tiny.with(tn::horizon{2_epochs});
static_assert(tn::is_legal(by_epoch));
static_assert(tn::is_legal(by_epoch, {.samples_per_epoch = 800_samples}));   // 100 steps
static_assert(!tn::is_legal(by_epoch, {.samples_per_epoch = 792_samples}));  // 99 steps

// Curricula.
constexpr auto staged(tn::horizon h, auto const& c) { return tiny.with(h, c); }
constexpr auto worked = tn::curriculum::by_length({{.until = 5_epochs, .high = 0.3},
                                                   {.until = 15_epochs, .low = 0.3, .high = 0.7},
                                                   {.until = 20_epochs, .low = 0.7}});
static_assert(tn::is_legal(staged(20_epochs, worked)) && tn::is_legal(staged(10_epochs, worked)));
static_assert(!tn::is_legal(staged(21_epochs, worked)) && tn::is_legal(staged(1'000_steps, worked)));
constexpr auto by_step =
    tn::curriculum::by_field("hardness", {{.until = 500_steps, .high = 0.6}, {.until = 1'000_steps}});
static_assert(tn::is_legal(staged(1'000_steps, by_step)) && !tn::is_legal(staged(1'001_steps, by_step)));
static_assert(by_step.by == tn::curriculum::difficulty::field && by_step.field == "hardness");
constexpr auto mixed = tn::curriculum::by_length({{.until = 5_epochs}, {.until = 1'000_steps}});
static_assert(!tn::is_legal(staged(1'000_steps, mixed)));
constexpr auto overlapping =
    tn::curriculum::by_length({{.until = 5_epochs, .high = 0.5}, {.until = 20_epochs, .low = 0.2}});
static_assert(tn::is_legal(staged(20_epochs, overlapping)));
constexpr auto gap = tn::curriculum::by_length({{.until = 5_epochs, .high = 0.5}, {.until = 20_epochs, .low = 0.6}});
static_assert(!tn::is_legal(staged(20_epochs, gap)) && tn::curriculum::first_gap(gap) == 0.5);

// Mixtures. tiny's other rules speak about them as about a corpus.
constexpr auto sources = tiny.with(tn::data::mixed({0.7, 0.2, 0.1}, {.tokenizer_vocab = 300, .held_out = 0.1}));
static_assert(tn::legal<sources> && sources.data.size == 3 && sources.data.weights[1] == 0.2);
static_assert(sources.data.tokenizer_vocab == 300 && sources.data.held_out == 0.1);
static_assert(tn::is_legal(tiny.with(tn::data::mixed({1, 1'023}))) &&
              !tn::is_legal(tiny.with(tn::data::mixed({1, 1'024}))));
static_assert(!tn::is_legal(tiny.with(tn::data::mixture<2>{})) && tn::is_legal(tiny.with(tn::data::mixed({5}))));

TEST("one mistake about a mixture breaks one rule, and says which weight") {
  auto const broken = [](auto change) {
    auto const found = tn::violations(sources.edit(change));
    REQUIRE(found.size() == 1);
    return found[0].text;
  };
  auto const text = broken([](auto& r) { r.data.weights[1] = -0.25; });
  EXPECT(text.starts_with("[tenon.mixture_weights_in_range] "));
  EXPECT(text.ends_with("(weight out of range, counted from 0 = 1, its value = -0.25)"));
  EXPECT(broken([](auto& r) { r.data.weights[2] = __builtin_nan(""); }).find("mixture_weights_in_range") < 10);
  EXPECT(broken([](auto& r) { r.data.weights[0] = __builtin_inf(); }).find("mixture_weights_in_range") < 10);
  EXPECT(broken([](auto& r) { r.horizon = 2_epochs; }).find("mixture_has_no_epochs") < 10);
  EXPECT(broken([](auto& r) { r.data.held_out = 1; }).find("held_out_in_range") < 10);
  EXPECT(broken([](auto& r) { r.data.tokenizer_vocab = 256; }).find("tokenizer_covers_bytes") < 10);
  auto const found = tn::violations(sources.with(by_step));
  REQUIRE(found.size() == 1);
  EXPECT(found[0].text.ends_with("(sources = 3, stages = 2)"));
}

// Moments, and what optimizers may say of them.
static_assert(tn::is_legal(tiny.replace(tn::optimizer::adamw{.moment = tn::dtype::bf16})));
static_assert(!tn::is_legal(tiny.replace(tn::optimizer::adamw{.moment = tn::dtype::fp16})));
static_assert(!tn::is_legal(tiny.replace(tn::optimizer::adamw{.beta2 = 0.999, .moment = tn::dtype::bf16})));
static_assert(tn::is_legal(tiny.replace(tn::optimizer::adamw{.beta2 = 0.999})));
static_assert(!tn::is_legal(tiny.with(tn::optimizer::sgd{.momentum = 0.999, .moment = tn::dtype::bf16})));

// Ranks that hold a part of the state each, and what a checkpoint may then be.
struct part_of_moments {
  static constexpr bool shards_state = true;
  tn::operational<int, tn::digest::layout> ranks = 2;
  tn::operational<tn::bytes, tn::digest::layout> bucket = 4_MiB;
};
struct each_its_part {
  using axis = tn::axis::checkpoint;
  static constexpr std::string_view kind = "each_its_part", read_by = "my_loop";
  static constexpr bool saves_whole_state = false;
};
constexpr auto sharded = tiny.with(tn::parallel::mesh{part_of_moments{}});
static_assert(tn::parallel::shards_state<decltype(sharded.parallel)>() && !tn::parallel::shards_state<tn::parallel::ddp>());
static_assert(!tn::parallel::shards_state<tn::parallel::mesh<tn::parallel::replicate>>());
static_assert(!tn::is_legal(sharded) && tn::is_legal(sharded.with(tn::checkpoint::never{})));
static_assert(tn::is_legal(sharded.with(each_its_part{})));

// Other optimizers, memory, foreign modules.
static_assert(tn::is_legal(tiny.with(tn::optimizer::sgd{})));
static_assert(!tn::is_legal(tiny.with(tn::optimizer::sgd{.momentum = 1})));
static_assert(!tn::is_legal(tiny.with(tn::optimizer::sgd{.momentum = 0, .nesterov = true})));
static_assert(tn::is_legal(tiny.with(tn::memory::recompute{.every = 2})));
static_assert(!tn::is_legal(tiny.with(tn::memory::recompute{.every = 3})));
static_assert(!tn::is_legal(tiny.with(tn::memory::recompute{.every = 0})));
struct net;
constexpr auto foreign = tn::recipe(tn::model::torch_module<net>{.vocab = 512}, tn::precision::fp32{});
static_assert(tn::is_legal(foreign) && !tn::is_legal(foreign.with(tn::memory::recompute{})));
static_assert(!tn::is_legal(tn::recipe(tn::model::torch_module<net>{})));

static_assert(!tn::is_legal(foreign.with(tn::precision::bf16{.emulated = true})));

// What the plan and the launch ask.
TEST("a launch is refused for its target, its plan and the machine's memory, with the values") {
  auto const said = [](auto const& r, tn::rules::known k) {
    auto const found = tn::launch_violations(r, k);
    REQUIRE(found.size() == 1);
    EXPECT_THROWS_WITH(tn::require_launch(r, k), found[0].rule);
    return found[0].text;
  };
  EXPECT(tn::launch_violations(tiny, {.needed = 7_GiB, .present = 8_GiB, .launched = true}).empty());
  EXPECT(said(tiny.with(tn::target::h100{}), {.launched = true}).ends_with("(target = h100)"));
  EXPECT(said(tiny, {.needed = 8_GiB, .present = 16_GiB}).ends_with("(MiB needed = 8192, MiB of the target = 8192)"));
  EXPECT(said(tiny, {.needed = 2_GiB, .present = 2_GiB}).ends_with("(MiB needed = 2048, MiB present = 2048)"));
  EXPECT(said(tiny, {.missing = "text/a"}).ends_with("(path = text/a)"));
  EXPECT(said(tiny, {.started = 2, .launcher = "torchrun"}).ends_with("(ranks = 1, processes = 2, launcher = torchrun)"));
  constexpr auto four = tiny.with(tn::parallel::ddp{.ranks = 4});
  EXPECT(said(four, {.started = 2, .launcher = "MPI"}).ends_with("(ranks = 4, processes = 2, launcher = MPI)"));
  EXPECT(tn::launch_violations(four, {.started = 4}).empty());
  EXPECT_THROWS_WITH(tn::require_rule<tn::rules::ranks_started>(four, {.started = 3}), "[tenon.ranks_started]");
  auto const chat = tiny.with(tn::objective::sft{}, tn::trainable::lora{.rank = 4});
  EXPECT(said(chat, {.templateless = "models/a"}).find("chat_template.jinja") != std::string::npos);
  EXPECT(said(chat, {.templateless = "models/a"}).ends_with("(directory = models/a)"));
  EXPECT(said(chat, {.without_base = true}).ends_with("(trainable = lora)"));
  // On GPUs: what the device must be able to do, and a model that has no kernels there.
  constexpr auto there = tiny.with(tn::target::h100{});
  EXPECT(tn::launch_violations(there, {.launched = true, .gpus = 1, .gpu_capability = 70}).empty());
  EXPECT(tn::launch_violations(there.replace(tn::precision::fp32{.tf32 = true}), {.launched = true, .gpus = 1, .gpu_capability = 80}).empty());
  EXPECT(said(there.replace(tn::precision::fp32{.tf32 = true}), {.launched = true, .gpus = 1, .gpu_capability = 75}).ends_with("(precision = fp32, products = tf32, capability, times 10 = 75)"));
  EXPECT(said(there, {.launched = true, .gpus = 0}).starts_with("[tenon.gpu_present]"));
  constexpr auto foreign_there = foreign.with(tn::target::h100{});
  EXPECT(tn::is_legal(foreign_there));
  for (int gpus : {-1, 1}) {  // whatever the program was built with
    auto const found = tn::launch_violations(foreign_there, {.launched = true, .gpus = gpus, .gpu_capability = 90});
    REQUIRE(found.size() == 1);
    EXPECT(found[0].text.starts_with("[tenon.layers_on_gpu]"));
    EXPECT(found[0].text.ends_with("(model = torch_module, target = h100)"));
  }
  EXPECT(tn::launch_violations(foreign_there, {}).empty());  // it can be planned
  bool refused = false;
  try {
    tn::require_launch(tiny.with(tn::target::h100{}), {.launched = true});
  } catch (tn::refused const&) {
    refused = true;
  }
  EXPECT(refused);
}

// A policy of the user's own: an aggregate, and where its fields have ranges an overload beside it.
namespace own {
struct halving {
  using axis = tn::axis::schedule;
  static constexpr std::string_view kind = "halving";
  double peak = 1e-3;
  tn::steps every = tn::steps{100};
  constexpr double at(tn::steps step, tn::steps, tn::tokens) const {
    double rate = peak;
    for (auto n = step / every; n > 0; --n) rate /= 2;
    return rate;
  }
  constexpr tn::steps ramp(tn::steps, tn::tokens) const { return tn::steps{0}; }
};
constexpr bool in_range(halving const& h) { return h.peak > 0 && h.every > tn::steps{0}; }
}  // namespace own
constexpr auto halved = tiny.with(own::halving{});
static_assert(tn::legal<halved> && halved.schedule.at(250_steps, 1'000_steps, 1_tokens) == 2.5e-4);
static_assert(!tn::is_legal(halved.edit([](auto& r) { r.schedule.every = 0_steps; })));

TEST("an illegal schedule of the user's own is said at launch as well") {
  auto const r = halved.edit([](auto& one) { one.schedule.peak = -1; });
  auto const found = tn::violations(r);
  REQUIRE(found.size() == 1);
  EXPECT(found[0].text.find("schedule = halving") != std::string::npos);
}

}  // namespace
