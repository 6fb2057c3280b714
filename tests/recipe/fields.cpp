#include "tenon/recipe/fields.hpp"

#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "recipe/support/recipes.hpp"
#include "support/test.hpp"
#include "tenon/recipe/describe.hpp"
#include "tenon/recipe/digests.hpp"
#include "tenon/variants/pro.hpp"

namespace {

namespace tn = tenon;
using namespace tenon::literals;
using recipes::tiny;

auto const staged = tiny.with(tn::curriculum::by_length({{.until = 5_epochs, .high = 0.3}, {.until = 20_epochs}}));

std::string value_of(auto const& r, std::string_view path) {
  for (auto const& f : tn::list_fields(r))
    if (f.path == path && !f.choice) return f.value;
  return "(none)";
}

TEST("every field has one path, one class and one digest") {
  std::set<std::string> paths;
  for (auto const& f : tn::list_fields(staged)) {
    EXPECT(paths.insert(f.path).second);
    EXPECT(!f.path.empty());
    if (f.classification == tn::field_class::trajectory) EXPECT(f.belongs_to == tn::digest::numbers);
    if (f.classification == tn::field_class::operational) EXPECT(f.belongs_to == tn::digest::none);
  }
  for (auto const* p :
       {"model.hidden", "horizon", "batch.micro", "schedule.warmup", "curriculum.list.1.until", "seed.value"})
    EXPECT(paths.count(p) == 1);
}

TEST("a field is set by its path") {
  auto r = staged;
  tn::set_field(r, "schedule.peak", "1e-4");
  tn::set_field(r, "schedule.warmup", "5%");
  tn::set_field(r, "horizon", "2_epochs");
  tn::set_field(r, "batch.global", "32");
  tn::set_field(r, "data.invalid", "skip");
  tn::set_field(r, "data.text", "body");
  tn::set_field(r, "checkpoint.period", "10m");
  tn::set_field(r, "observe.tensorboard", "false");
  tn::set_field(r, "curriculum.list.0.high", "0.4");
  tn::set_field(r, "curriculum.list.0.until", "6_epochs");
  tn::set_field(r, "seed.value", "18446744073709551615");
  EXPECT(r.schedule.peak == 1e-4);
  EXPECT(r.schedule.warmup == tn::span_of_run{5_percent});
  EXPECT(r.horizon == tn::horizon{2_epochs});
  EXPECT(r.batch.global == 32_samples);
  EXPECT(r.data.invalid == tn::data::invalid::skip);
  EXPECT(r.data.text == "body");
  EXPECT(r.checkpoint.period.get() == tn::period{10_minutes});
  EXPECT(!r.observe.tensorboard);
  EXPECT(r.curriculum.list[0].high == 0.4);
  EXPECT(r.curriculum.list[0].until == tn::point_of_run{6_epochs});
  EXPECT(r.seed.value == 18446744073709551615u);
}

TEST("what cannot be set says why") {
  auto r = tiny;
  EXPECT_THROWS_WITH(tn::set_field(r, "model.hidden", "128"), "model.hidden is compiled in (it is 64)");
  EXPECT_THROWS_WITH(tn::set_field(r, "batch.sequence", "64"), "batch.sequence is compiled in");
  EXPECT_THROWS_WITH(tn::set_field(r, "schedule", "constant"), "schedule is compiled in (it is warmup_cosine)");
  EXPECT_THROWS_WITH(tn::set_field(r, "schedule.paek", "1"), "did you mean schedule.peak?");
  EXPECT_THROWS_WITH(tn::set_field(r, "schedule.peak", "big"), "schedule.peak = \"big\" is not a number");
  EXPECT(value_of(r, "schedule.peak") == value_of(tiny, "schedule.peak"));
}

TEST("the canonical text is pinned") {
  // A change here makes every checkpoint of before need a migration: it must be meant.
  EXPECT_EQ(tn::canonical(tiny, tn::digest::identity), R"(tenon recipe 1 identity
model = deepseek_llm
model.vocab = 512
model.hidden = 64
model.layers = 2
model.heads = 4
model.kv_heads = 0
model.intermediate = 172
model.positions = 256
model.tied = false
model.rope_theta = 10000
model.rope_scaling.type = none
model.rope_scaling.factor = 1
model.rope_scaling.original = 0
model.rope_scaling.low_freq_factor = 1
model.rope_scaling.high_freq_factor = 4
model.rope_scaling.beta_fast = 32
model.rope_scaling.beta_slow = 1
model.rope_scaling.mscale = 0
model.rope_scaling.mscale_all_dim = 0
model.rope_scaling.attention_factor = 0
model.rope_scaling.truncate = true
model.norm_eps = 1e-06
precision = fp32
objective = next_token
data = corpus
data.tokenizer_vocab = 0
optimizer = adamw
optimizer.moment = fp32
trainable = all
)");
  EXPECT_EQ(tn::canonical(tiny, tn::digest::layout), R"(tenon recipe 1 layout
target = cpu
target.memory = 8589934592_bytes
precision.tf32 = false
batch.micro = 4_samples
memory = keep
parallel = single
)");
  EXPECT_EQ(tn::canonical(tiny, tn::digest::numbers), R"(tenon recipe 1 numbers
model.init_std = 0.02
horizon = 1000_steps
batch = batch
batch.sequence = 128_tokens
batch.global = 16_samples
data.held_out = 0.05
data.invalid = stop
curriculum = none
optimizer.beta1 = 0.9
optimizer.beta2 = 0.95
optimizer.epsilon = 1e-08
optimizer.weight_decay = 0.1
optimizer.clip = 1
schedule = warmup_cosine
schedule.peak = 0.001
schedule.warmup = 100_steps
schedule.floor = 0.1
seed = seed
seed.value = 1
)");
  EXPECT_EQ(tn::digests(tiny).layout, "731f5de37a5d8749c530fcd37b9f435c2a634e642556d151e8f9d96f742479ac");
}

TEST("each digest follows its own fields") {
  auto const base = tn::digests(tiny);
  auto const with = [&](auto const& r) {
    auto const d = tn::digests(r);
    return std::string(d.identity == base.identity ? "" : "identity ") + (d.layout == base.layout ? "" : "layout ") +
           (d.numbers == base.numbers ? "" : "numbers ");
  };
  EXPECT_EQ(with(tiny), "");
  EXPECT_EQ(with(tiny.edit([](auto& r) { r.schedule.peak = 2e-3; })), "numbers ");
  EXPECT_EQ(with(tiny.edit([](auto& r) { r.model.tied = true; })), "identity ");
  EXPECT_EQ(with(tiny.edit([](auto& r) { r.batch.micro = 8_samples; })), "layout ");
  EXPECT_EQ(with(tiny.edit([](auto& r) { r.checkpoint.keep = 9; })), "");
  EXPECT_EQ(with(tiny.with(tn::memory::recompute{})), "layout ");
  EXPECT_EQ(with(tiny.with(tn::checkpoint::never{})), "");
  EXPECT_EQ(with(tiny.with(tn::schedule::constant{})), "numbers ");
  EXPECT_EQ(with(tiny.with(tn::optimizer::sgd{})), "identity numbers ");
  // native and what it means are the same run
  EXPECT_EQ(with(tiny.with(tn::precision::native{})), "");
  EXPECT(tn::differences(tn::list_fields(tiny), tn::list_fields(tiny.with(tn::precision::native{}))).empty());
  EXPECT_EQ(with(tiny.replace(tn::precision::fp32{.tf32 = true})), "layout ");
}

TEST("what differs is named") {
  auto const other = tiny.with(tn::schedule::constant{.peak = 1e-3}).edit([](auto& r) { r.batch.micro = 8_samples; });
  auto const found = tn::differences(tn::list_fields(tiny), tn::list_fields(other));
  std::string text;
  for (auto const& d : found) text += d.path + ":" + d.before + "->" + d.after + " ";
  EXPECT_EQ(text,
            "batch.micro:4_samples->8_samples schedule:warmup_cosine->constant schedule.warmup:100_steps-> "
            "schedule.floor:0.1-> ");
  EXPECT(tn::differences(tn::list_fields(tiny), tn::list_fields(tiny)).empty());
}

TEST("S4: a resume needs the same identity, and numbers only change on purpose") {
  auto const saved = tn::list_fields(tiny);
  auto const resumes = [&](auto const& r, std::vector<std::string> const& changed = {}) {
    tn::require_same_run(saved, tn::list_fields(r), changed);
    return true;
  };
  EXPECT(resumes(tiny));
  EXPECT(resumes(tiny.edit([](auto& r) { r.batch.micro = 8_samples, r.checkpoint.keep = 7; })));
  auto const wider = tiny.edit([](auto& r) { r.model.hidden = 128; });
  EXPECT_THROWS_WITH(resumes(wider), "model.hidden is 64 in it and 128 in this program");
  EXPECT_THROWS_WITH(resumes(wider, {"model.hidden"}), "another model");
  auto const hotter = tiny.edit([](auto& r) { r.schedule.peak = 2e-3; });
  EXPECT_THROWS_WITH(resumes(hotter),
                     "schedule.peak = 0.001, and now it is 0.002; to change it on purpose add --change");
  EXPECT(resumes(hotter, {"schedule.peak"}));
  EXPECT_THROWS_WITH(resumes(hotter, {"schedule.pea"}), "schedule.peak");
  auto const flat = tiny.with(tn::schedule::constant{});
  EXPECT_THROWS_WITH(resumes(flat), "schedule = warmup_cosine, and now it is constant");
  EXPECT(resumes(flat, {"schedule"}));
  auto const tail = tiny.with(tn::schedule::warmup_stable_decay{.decay = tn::percent{10}});  // its length is state, too
  EXPECT_THROWS_WITH(
      tn::require_same_run(tn::list_fields(tail),
                           tn::list_fields(tail.edit([](auto& r) { r.schedule.decay = tn::percent{20}; })), {}),
      "schedule.decay = 10%");
}

tn::origin from(auto const& r, std::string_view path) {
  for (auto const& l : tn::describe_fields(r))
    if (l.path == path) return l.from;
  throw tn::error("no such path");
}

inline constexpr auto child = tiny.edit([](auto& r) { r.batch.global = 32_samples; });
inline constexpr auto grandchild =
    child.with(tn::optimizer::sgd{.momentum = 0.8}).edit([](auto& r) { r.seed.value = 3; });

TEST("describe tells set here, inherited and default apart") {
  using tn::origin;
  EXPECT(from(tiny, "schedule.peak") == origin::set_here);
  EXPECT(from(tiny, "optimizer.beta1") == origin::by_default);
  EXPECT(from(tiny, "schedule") == origin::by_default);
  EXPECT(from(tiny, "precision") == origin::set_here);
  EXPECT(from(child, "schedule.peak") == origin::inherited);
  EXPECT(from(child, "batch.global") == origin::set_here);
  EXPECT(from(child, "batch.sequence") == origin::inherited);
  EXPECT(from(child, "precision") == origin::inherited);
  EXPECT(from(grandchild, "batch.global") == origin::inherited);
  EXPECT(from(grandchild, "optimizer") == origin::set_here);
  EXPECT(from(grandchild, "optimizer.momentum") == origin::set_here);
  EXPECT(from(grandchild, "optimizer.clip") == origin::by_default);
  EXPECT(from(grandchild, "seed.value") == origin::set_here);
  // set back to the default by this recipe, where the parent had another value
  constexpr auto back = child.edit([](auto& r) { r.batch.global = 8_samples; });
  EXPECT(from(back, "batch.global") == origin::set_here);
  auto const table = tn::describe(tn::variants::pro);
  auto const has_line = [&](std::string const& words) {  // whatever the widths of the columns
    std::string line;
    for (std::istringstream lines(table); std::getline(lines, line);) {
      std::string plain, word;
      for (std::istringstream in(line); in >> word;) plain += (plain.empty() ? "" : " ") + word;
      if (plain == words) return true;
    }
    return false;
  };
  EXPECT(has_line("batch.micro 1_samples fixed set here"));
  EXPECT(has_line("schedule.warmup 1000_steps trajectory inherited"));
  EXPECT(has_line("memory recompute policy set here"));
  EXPECT(!has_line("memory keep policy set here"));
}

}  // namespace
