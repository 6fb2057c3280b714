#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <cstdlib>
#include <optional>

#include "exec/memory_watch.hpp"
#include "support/micro_batch.hpp"
#include "support/test.hpp"
#include "tenon/deploy/generate.hpp"
#include "tenon/exec/plan.hpp"
#include "tenon/train/step.hpp"
#include "tenon/train/trainer.hpp"

/// "No allocation": after one step at each shape, training asks the system for no memory at all.

using namespace tenon;
using namespace tenon::literals;

namespace {

template <class Precision, class Memory>
constexpr auto make(Precision p, Memory m) {
  return recipe(model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 3, .heads = 4, .kv_heads = 2, .intermediate = 176, .positions = 80},
                target::cpu{.memory = 8_GiB}, p, m, horizon{100_steps}, batch{.sequence = 80_tokens, .global = 12_samples, .micro = 4_samples});
}
constexpr auto fp32 = make(precision::fp32{}, memory::keep{});
constexpr auto bf16 = make(precision::bf16{.emulated = true}, memory::keep{});
constexpr auto recomputed = make(precision::fp16{.emulated = true}, memory::recompute{.every = 2}).replace(optimizer::adamw{.moment = dtype::bf16});

data::micro_batch batch_of(std::uint64_t seed) {
  random_batch const rows(12, 80, 512, seed);
  data::micro_batch b;
  b.samples = rows.samples, b.sequence = rows.sequence, b.num_targets = rows.count();
  b.tokens = rows.tokens, b.targets = rows.targets, b.positions = rows.positions, b.document_start = rows.document_start;
  return b;
}

template <auto const& R>
void watch(int members) {
  // MKL's 16-bit products open an OpenMP region even for one thread. libgomp keeps the record of such a region, but where
  // it has one thread in all (OMP_NUM_THREADS=1) it makes and frees one each time.
  bool const records = at::get_num_threads() == 1 && !std::is_same_v<models::compute_of<R>, float>;
  memory_watch construction;
  train::trainer<R> t(R, members, steps{100});
  EXPECT_EQ(construction.mapped_bytes(), make_plan<R>(members).total());  // the plan, to the byte
  auto const a = batch_of(1), b = batch_of(2);
  train::step(t, a);
  auto const evaluate = [&] {
    auto region = [&](int member) {
      auto x = t.engine().on(t.team(), member);
      t.engine().clear_loss(x);
      t.engine().evaluate(x, train::rows_of(a, 0, 4));
    };
    t.team().run(region);
  };
  evaluate();
  memory_watch steps;
  for (int i = 0; i < 10; ++i) {
    train::step(t, i % 2 ? a : b);
    evaluate();
  }
  if (!records) EXPECT_EQ(steps.allocations(), 0);
  EXPECT_EQ(steps.mappings(), 0);
}

/// Decoding of one sequence after the first token; and the memory that it was made with.
template <auto const& R>
void watch_decoding(int members) {
  using model = models::of_recipe<R>;
  using compute = models::compute_of<R>;
  exec::parameter_store<model, compute> store;
  store.initialise(1, 0.5);
  store.refresh_copy();
  exec::cpu::team team(members);
  memory_watch construction;
  deploy::generator<model, compute> g(64, members, 10000);
  using cache = typename model::template cache<compute>;
  constexpr int texts = deploy::generator<model, compute>::most_texts;  // rows of logits, and of keys that come in
  EXPECT_EQ(construction.mapped_bytes(), (exec::forward_activations<model, compute, texts>::bytes(64, members, 64) + nn::activation_bytes<cache>(64 + texts, members)));
  std::vector<std::int32_t> const prompt{1, 2, 3};
  std::int64_t tokens = 0, allocated = 0, mapped = 0;
  std::optional<memory_watch> watch;
  g.run(team, store, prompt, 512, {.temperature = 0.7}, [&](std::int32_t) {
    if (watch) allocated += watch->allocations(), mapped += watch->mappings();
    ++tokens;
    watch.emplace();
  }, [](std::int32_t) { return false; });
  EXPECT_EQ(tokens, 61);
  EXPECT_EQ(allocated, 0);
  EXPECT_EQ(mapped, 0);
}

}  // namespace

TEST("the watch sees what it should") {
  memory_watch w;
  std::free(std::malloc(100));
  std::vector<int> v(1000);
  auto const t = at::empty({1000});
  exec::buffer const b(1 << 20);
  EXPECT(w.allocations() >= 3);
  EXPECT(w.mappings() >= 1);
  EXPECT(w.mapped_bytes() >= 1 << 20);
}

TEST("construction maps what the plan says; steps and evaluations allocate nothing") {
  SUBCASE("fp32, one member") { watch<fp32>(1); }
  SUBCASE("fp32, two members") { watch<fp32>(2); }
  SUBCASE("bf16, two members") { watch<bf16>(2); }
  SUBCASE("fp16 with recomputation and moments in bf16, two members") { watch<recomputed>(2); }
}

TEST("decoding allocates nothing after the first token, and has the memory of one block and a cache") {
  SUBCASE("fp32, one member") { watch_decoding<fp32>(1); }
  SUBCASE("fp32, two members") { watch_decoding<fp32>(2); }
  SUBCASE("bf16, two members") { watch_decoding<bf16>(2); }
}
