#include "tenon/app/command_line.hpp"

#include <string>
#include <vector>

#include "recipe/support/recipes.hpp"
#include "support/test.hpp"

namespace {

namespace tn = tenon;
using namespace tenon::literals;
using recipes::tiny;

/// Parses the arguments into a copy of the tiny recipe.
struct parsed {
  std::remove_const_t<decltype(tiny)> recipe = tiny;
  tn::command_line line;
  explicit parsed(std::vector<char const*> arguments) {
    arguments.insert(arguments.begin(), "train");
    line = tn::parse(static_cast<int>(arguments.size()), arguments.data(), recipe);
  }
};

TEST("no argument changes nothing") {
  parsed const p({});
  EXPECT(p.recipe.schedule.peak == tiny.schedule.peak);
  EXPECT(p.line.overrides.empty());
  EXPECT((!p.line.plan && !p.line.help && !p.line.json && p.line.threads == 0));
}

TEST("options of the run") {
  parsed const p({"--run", "out dir", "--data=a.txt", "--data", "b", "--init=ckpt", "--prompt", "int main",
                  "--threads=2", "--plan", "--json"});
  EXPECT_EQ(p.line.run, "out dir");
  EXPECT(p.line.data == std::vector<std::string>{"a.txt", "b"});
  EXPECT_EQ(p.line.init, "ckpt");
  EXPECT_EQ(p.line.prompt, "int main");
  EXPECT(p.line.threads == 2);
  EXPECT((p.line.plan && p.line.json));
  EXPECT(parsed({"-h"}).line.help);
  EXPECT(parsed({"--help"}).line.help);
}

TEST("fields are overridden with = and with a space, in any of their units") {
  parsed const p({"--schedule.peak=1e-4", "--schedule.warmup", "5%", "--checkpoint.period=10m", "--batch.global", "32",
                  "--observe.tensorboard=off", "--steps", "500", "--change", "optimizer.beta2=0.99"});
  EXPECT(p.recipe.schedule.peak == 1e-4);
  EXPECT(p.recipe.schedule.warmup == tn::span_of_run{5_percent});
  EXPECT(p.recipe.checkpoint.period.get() == tn::period{10_minutes});
  EXPECT(p.recipe.batch.global == 32_samples);
  EXPECT(!p.recipe.observe.tensorboard);
  EXPECT(p.recipe.horizon == tn::horizon{500_steps});
  EXPECT(p.recipe.optimizer.beta2 == 0.99);
  EXPECT(p.line.overrides.size() == 6);
  EXPECT((p.line.overrides.back() == tn::assignment{"horizon", "500_steps"}));
  EXPECT((p.line.changes == std::vector<tn::assignment>{{"optimizer.beta2", "0.99"}}));
  EXPECT(parsed({"--seed=7"}).recipe.seed.value == 7);
  EXPECT(parsed({"--horizon=2_epochs"}).recipe.horizon == tn::horizon{2_epochs});
}

TEST("a change of what is compiled in is acknowledged with its value") {
  parsed const p({"--change=schedule=warmup_cosine", "--change", "batch.sequence=128_tokens"});
  EXPECT(
      (p.line.changes == std::vector<tn::assignment>{{"schedule", "warmup_cosine"}, {"batch.sequence", "128_tokens"}}));
  EXPECT_THROWS_WITH(parsed({"--change=schedule=constant"}), "schedule is compiled in (it is warmup_cosine)");
}

TEST("every mistake is a sentence") {
  EXPECT_THROWS_WITH(parsed({"--schedule.paek=1"}), "unknown option --schedule.paek; did you mean --schedule.peak?");
  EXPECT_THROWS_WITH(parsed({"--plna"}), "did you mean --plan?");
  EXPECT_THROWS_WITH(parsed({"--qqqqqqqqqqqq"}), "--help lists the options");
  EXPECT_THROWS_WITH(parsed({"--model.hidden=128"}), "model.hidden is compiled in (it is 64)");
  EXPECT_THROWS_WITH(parsed({"--optimizer=sgd"}), "optimizer is compiled in (it is adamw)");
  EXPECT_THROWS_WITH(parsed({"--batch=4"}), "batch has several fields");
  EXPECT_THROWS_WITH(parsed({"--batch.global=4294967296"}), "[tenon.batch_given]");
  EXPECT_THROWS_WITH(parsed({"--horizon=0_epochs"}), "[tenon.horizon_given]");
  EXPECT_THROWS_WITH(parsed({"--schedule.peak"}), "--schedule.peak needs a value");
  EXPECT_THROWS_WITH(parsed({"--schedule.peak", "--plan"}), "--schedule.peak needs a value");
  EXPECT_THROWS_WITH(parsed({"--schedule.peak=fast"}), "schedule.peak = \"fast\" is not a number");
  EXPECT_THROWS_WITH(parsed({"--schedule.peak=1", "--schedule.peak=2"}), "give it once");
  EXPECT_THROWS_WITH(parsed({"--steps=5", "--horizon=2_epochs"}), "give it once");
  EXPECT_THROWS_WITH(parsed({"--run=a", "--run=b"}), "--run was given twice");
  EXPECT_THROWS_WITH(parsed({"--run="}), "empty value");
  EXPECT_THROWS_WITH(parsed({"--plan=yes"}), "--plan takes no value");
  EXPECT_THROWS_WITH(parsed({"--threads=0"}), "--threads is 0");
  EXPECT_THROWS_WITH(parsed({"--threads=two"}), "--threads: \"two\" is not a whole number");
  EXPECT_THROWS_WITH(parsed({"--steps=5_tokens"}), "--steps: \"5_tokens\" is not a whole number of steps");
  EXPECT_THROWS_WITH(parsed({"--change", "schedule.peak"}), "--change needs a field and a value");
  EXPECT_THROWS_WITH(parsed({"--change", "model.hidden=1"}), "compiled in");
  EXPECT_THROWS_WITH(parsed({"corpus"}), "\"corpus\" belongs to no option");
  EXPECT_THROWS_WITH(parsed({"--"}), "belongs to no option");
  EXPECT_THROWS_WITH(parsed({"-x"}), "belongs to no option");
}

TEST("the rules are asked again, and a refused line leaves the recipe as it was") {
  EXPECT_THROWS_WITH(parsed({"--schedule.peak=-1"}), "[tenon.schedule_in_range]");
  EXPECT_THROWS_WITH(parsed({"--steps=60"}), "[tenon.warmup_within_horizon]");
  EXPECT_THROWS_WITH(parsed({"--batch.global=6"}), "(batch.global = 6, batch.micro = 4)");
  auto r = tiny;
  char const* arguments[] = {"train", "--schedule.floor=0.5", "--batch.global=6"};
  EXPECT_THROWS_WITH(tn::parse(3, arguments, r), "[tenon.micro_divides_global]");
  EXPECT(r.schedule.floor == tiny.schedule.floor);
}

TEST("--help lists every field that may be set") {
  auto const text = tn::usage(tiny, "train");
  for (auto const& f : tn::list_fields(tiny))
    EXPECT((text.find("--" + f.path + "=") != std::string::npos) == (f.classification != tn::field_class::fixed));
  for (auto const& o : tn::app::options) EXPECT(text.find("--" + std::string(o.name)) != std::string::npos);
}

}  // namespace
