// The plan against what happens, in a program that counts in its kernels (TENON_COUNT_WORK): operations of passes and of a
// whole step, bytes that are mapped, and the peak of the process, the last two for a model of 100 million parameters.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "support/micro_batch.hpp"
#include "support/test.hpp"
#include "tenon/exec/plan.hpp"
#include "tenon/train/step.hpp"
#include "tenon/train/trainer.hpp"

using namespace tenon;
using namespace tenon::literals;

static_assert(TENON_COUNT_WORK == 1, "this program is about the counts");

namespace {

/// "VmHWM" or "VmRSS" of this process, in bytes.
std::int64_t status(std::string const& key) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.rfind(key + ":", 0) == 0) return std::strtoll(line.c_str() + key.size() + 1, nullptr, 10) * 1024;
  return -1;
}

data::micro_batch batch_of(std::int64_t samples, std::int64_t sequence, int vocab, bool one_document) {
  random_batch rows(samples, sequence, vocab, 3);
  if (one_document) rows.document_start.assign(rows.document_start.size(), 0);
  data::micro_batch b;
  b.samples = samples, b.sequence = sequence, b.num_targets = rows.count();
  b.tokens = rows.tokens, b.targets = rows.targets, b.positions = rows.positions, b.document_start = rows.document_start;
  return b;
}

/// Operations of one micro-batch forward and backward, and forward alone, as the kernels count them.
template <class Model, class Compute>
void passes(char const* what, std::int64_t samples, std::int64_t sequence) {
  using exec::cpu::work;
  exec::cpu::team team(2);
  train::static_engine<Model, Compute> engine(samples * sequence, sequence, 2, 10000);
  engine.initialise(1, 0.02);
  engine.refresh_copy();
  auto const run = [&](bool one_document, bool back) {
    auto const batch = batch_of(samples, sequence, Model::vocab, one_document);
    work::products = 0, work::attention = 0;
    auto region = [&](int member) {
      auto x = engine.on(team, member);
      engine.clear_loss(x);
      if (back)
        engine.forward_backward(x, train::rows_of(batch, 0, samples), 0.01f, true);
      else
        engine.evaluate(x, train::rows_of(batch, 0, samples));
    };
    team.run(region);
  };
  auto const planned = exec::count::forward_backward<Model, Compute>(samples, sequence);
  auto const forward = exec::count::evaluate<Model, Compute>(samples, sequence);
  DOCTEST_INFO(what);
  run(true, true);
  EXPECT_EQ(2 * work::products, planned.gemm_flops);
  EXPECT_EQ(2 * work::attention, planned.attention_flops);
  run(true, false);
  EXPECT_EQ(2 * work::products, forward.gemm_flops);
  EXPECT_EQ(2 * work::attention, forward.attention_flops);
  run(false, true);  // rows see their own document only: the plan is what the longest documents cost
  EXPECT(2 * work::attention < planned.attention_flops);
}

template <int Every, bool Tied>
using small = models::deepseek_llm<1600, 64, 5, 4, 2, 176, 96, Tied, nn::bits(1e-6), Every>;

constexpr auto hundred = recipe(
    model::deepseek_llm{.vocab = 32'000, .hidden = 640, .layers = 12, .heads = 10, .intermediate = 1'728, .positions = 512},
    target::cpu{.memory = 8_GiB}, precision::fp32{}, horizon{10_steps},
    batch{.sequence = 512_tokens, .global = 2_samples, .micro = 1_samples});
static_assert(plan<hundred>.parameters > 95'000'000 && plan<hundred>.parameters < 105'000'000 && plan<hundred>.fits);

}  // namespace

TEST("the operations of a pass are those that the kernels make") {
  passes<small<0, false>, float>("fp32", 3, 96);
  passes<small<2, true>, float>("fp32, tied, segments of 2 recomputed", 3, 96);
  passes<small<0, false>, nn::bf16>("bf16", 3, 96);
}

TEST("a step of 100 million parameters: operations, and the peak of the process") {
  using exec::cpu::work;
  constexpr auto p = make_plan<hundred>(2);
  auto const before = status("VmRSS");
  train::trainer<hundred> t(hundred, 2, steps{10});
  auto const batch = batch_of(2, 512, 32'000, true);
  work::products = 0, work::attention = 0;
  train::step(t, batch);
  auto const operations = 2 * (work::products + work::attention);
  EXPECT_EQ(operations, p.step_flops);
  auto const peak = status("VmHWM");
  std::printf("       the process: %.1f MB before, %.1f MB at its peak, %+.2f %% from the plan; without what was before, %+.2f %%\n",
              double(before) / 1e6, double(peak) / 1e6, 100 * (double(peak) / double(p.peak()) - 1),
              100 * (double(peak - before) / double(p.total()) - 1));
  EXPECT(peak > p.peak() / 100 * 95);
  EXPECT(peak < p.peak() / 100 * 105);
  // What this process had before the trainer came is a property of the machine; without it the plan is closer.
  auto const ours = peak - before;
  EXPECT(ours > p.total() / 100 * 99);
  EXPECT(ours < p.total() / 100 * 101);
}

