// What ./tenon fit finds, against the buffers themselves and against a search written out by hand.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "support/test.hpp"
#include "tenon/app/fit_program.hpp"
#include "tenon/optim/moments.hpp"

using namespace tenon;
using namespace tenon::literals;
using namespace tenon::app;

namespace {

constexpr int global = 12, sequence = 64;
constexpr auto small = recipe(
    model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 5, .heads = 4, .kv_heads = 2, .intermediate = 176, .positions = 128},
    target::cpu{.memory = 24_MiB}, precision::fp32{}, horizon{100_steps}, batch{.sequence = 64_tokens, .global = 12_samples, .micro = 4_samples});
constexpr auto on_h200 = small.with(target::h200{});
constexpr auto on_v100 = small.with(target::v100{});
constexpr auto on_ranks_already = small.with(parallel::ddp{.ranks = 3});
constexpr auto emulating = small.with(precision::bf16{.emulated = true});

fit_question on(target_facts f) {
  fit_question q;
  q.facts = f;
  return q;
}
template <auto const& R = small>
found search(target_facts f, std::vector<int> ranks = {1}) {
  auto q = on(f);
  q.ranks = std::move(ranks);
  return fit<R>(q);
}

/// What a rank really maps for weights, gradients, moments and activations.
template <class Model, class Moment>
std::int64_t mapped(std::int64_t micro) {
  exec::parameter_store<Model, float> store;
  exec::activations<Model, float> a(micro * sequence, 1, sequence, 10000);
  optim::moments<2, Moment> const moments(store.size);
  return 2 * (4 * store.size) + moments[0].bytes() + moments[1].bytes() + a.bytes();
}

}  // namespace

TEST("what fits is what the buffers say fits") {
  auto const facts = small.target.facts();
  auto const all = search(facts);
  EXPECT_EQ(all.judged, 24 * global);  // three precisions, four ways to recompute, two kinds of moments, every micro-batch up to the step
  EXPECT_EQ(all.choices.size(), 24u);
  std::set<std::pair<std::size_t, std::int64_t>> fitting;
  for (auto const& c : all.fitting) fitting.insert({c.choice, c.numbers.micro});
  std::int64_t expected = 0;
  auto const by_hand = [&]<class Model>(Model*, int every) {
    for (dtype const moment : {dtype::fp32, dtype::bf16}) {
      std::size_t choice = 0;
      while (all.choices[choice].product != dtype::fp32 || all.choices[choice].every != every || all.choices[choice].moment != moment) ++choice;
      for (std::int64_t micro : {1, 2, 3, 4, 6, 12}) {
        bool const fits = 10 * (moment == dtype::fp32 ? mapped<Model, float>(micro) : mapped<Model, nn::bf16>(micro)) <= 9 * facts.memory.count;
        EXPECT_EQ(fitting.count({choice, micro}), fits ? 1u : 0u);
        expected += fits;
      }
    }
  };
  by_hand(static_cast<models::of_recipe<variant_of<small, precision::fp32, 0>::recipe>*>(nullptr), 0);
  by_hand(static_cast<models::of_recipe<variant_of<small, precision::fp32, 1>::recipe>*>(nullptr), 1);
  by_hand(static_cast<models::of_recipe<variant_of<small, precision::fp32, 2>::recipe>*>(nullptr), 2);
  by_hand(static_cast<models::of_recipe<variant_of<small, precision::fp32, 4>::recipe>*>(nullptr), 4);
  EXPECT_EQ(std::int64_t(all.fitting.size()), expected);
  EXPECT(expected > 8);
  EXPECT(expected < 48);
  // Each candidate is either there or refused by one rule. A CPU emulates the 16-bit formats, which is refused first.
  EXPECT_EQ(all.refused.at("precision_native_on_target") + all.refused.at("micro_divides_global") + all.refused.at("plan_fits") + expected, all.judged);
  EXPECT_EQ(all.refused.at("micro_divides_global"), 8 * (global - 6));
  EXPECT_EQ(all.refused.at("precision_native_on_target"), 16 * global);
}

TEST("the fastest is first, and of equally fast ones the smallest") {
  auto const all = search<on_h200>(target::h200{}.facts());
  REQUIRE(all.fitting.size() > 20);
  for (std::size_t i = 1; i < all.fitting.size(); ++i)
    EXPECT(all.fitting[i - 1].plan.seconds_per_step <= all.fitting[i].plan.seconds_per_step * (1 + 1e-5));
  auto const& best = all.fitting.front();
  EXPECT(all.choices[best.choice].every == 0);  // recomputing costs a forward pass
  // Where arithmetic decides, its rate does.
  for (auto const& c : all.fitting) EXPECT(c.plan.seconds_per_step >= double(c.plan.step_flops) / (target::h200{}.facts().rate(all.choices[c.choice].product) * 1e9));
}

TEST("ranks share the micro-batches; those that cannot are refused") {
  auto const all = search(small.target.facts(), {1, 2, 5});
  EXPECT_EQ(all.judged, 3 * 24 * global);
  std::set<int> ranks;
  for (auto const& c : all.fitting) {
    ranks.insert(c.numbers.ranks);
    EXPECT_EQ(c.plan.micro_batches * c.numbers.micro * c.numbers.ranks, global);
  }
  EXPECT(ranks == std::set<int>{1, 2});
  EXPECT(all.refused.at("ranks_divide_global") > 0);
}

TEST("a recipe that says ranks itself is judged with the ranks asked for, and taken with them in its field") {
  auto q = on(small.target.facts());
  q.ranks = {1, 3, 5}, q.moments = {dtype::fp32};
  auto const all = fit<on_ranks_already>(q);
  EXPECT_EQ(all.judged, 3 * 12 * global);
  std::set<int> ranks;
  for (auto const& c : all.fitting) ranks.insert(c.numbers.ranks);
  EXPECT(ranks == std::set<int>{1, 3});
  auto const text = taken_text({"a.hpp", "a", ""}, "a_fit", all, all.fitting.front(), q, "");
  EXPECT(text.find("r.parallel.ranks = " + std::to_string(all.fitting.front().numbers.ranks) + ";") != std::string::npos);
}

TEST("what the target cannot compute is refused by its rule; a recipe that accepts emulation may have it") {
  auto const v100 = fit<on_v100>(on(target::v100{}.facts()));
  for (auto const& c : v100.fitting) EXPECT(v100.choices[c.choice].product != dtype::bf16);
  EXPECT(v100.choices[v100.fitting.front().choice].product == dtype::fp16);
  EXPECT(v100.refused.at("precision_native_on_target") > 0);
  auto const all = fit<emulating>(on(small.target.facts()));
  bool half = false;
  for (auto const& c : all.fitting) half = half || all.choices[c.choice].product == dtype::bf16;
  EXPECT(half);
}

TEST("a longer sample, a larger step: the rules and the plan see them") {
  auto q = on(target::h200{}.facts());
  q.global = 32, q.sequence = 128;
  auto const all = fit<small>(q);
  EXPECT_EQ(all.judged, 24 * 32);
  for (auto const& c : all.fitting) EXPECT_EQ(c.plan.tokens_per_step, 32 * 128);
  q.sequence = 129;  // beyond the model's positions
  auto const none = fit<small>(q);
  EXPECT(none.fitting.empty());
  EXPECT(none.refused.at("sequence_within_positions") > 0);
  EXPECT(fit_text("small", "h200", none, q.facts, 0).find("no candidate is legal") != std::string::npos);
}

TEST("the text says what fits, who lost and why, and what nothing fits into") {
  auto const f = target::h200{}.facts();
  auto const text = fit_text("small", "h200", search<on_h200>(f), f, 0.5);
  for (auto part : {"small on h200: 288 candidates judged in 500 ms", "by micro_divides_global", "every block runs forward twice", "its moments are fp32", "bf16 moments", "rather than 989,000 GFLOP/s", "needs a loss scale", "\n  10 "})
    EXPECT(text.find(part) != std::string::npos);
  EXPECT(text.find("\n  11 ") == std::string::npos);
  target_facts const tiny{.memory = 1_MiB, .fp32 = 50};
  auto const none = fit_text("small", "cpu", search(tiny), tiny, 0);
  for (auto part : {"0 fit", "nothing fits. The least is fp32, recompute", "bf16 moments", "by plan_fits"}) EXPECT(none.find(part) != std::string::npos);
}

namespace {

fit_command parsed(std::vector<char const*> a) {
  a.insert(a.begin(), "fit");
  return parse_fit(int(a.size()), a.data());
}

}  // namespace

TEST("the command line of a fit: what is not understood is an error") {
  auto const c = parsed({"--ranks=1,2,8", "--global", "64", "--take", "2", "--out=x.hpp"});
  EXPECT(c.question.ranks == std::vector<int>{1, 2, 8});
  EXPECT(c.question.global == 64);
  EXPECT(c.take == 2);
  EXPECT(c.out == "x.hpp");
  EXPECT_THROWS_WITH(parsed({"--golbal=3"}), "did you mean --global?");
  EXPECT_THROWS_WITH(parsed({"--schedule.peak=3"}), "changed in the recipe");
  EXPECT_THROWS_WITH(parsed({"stray"}), "no option stray");
  EXPECT_THROWS_WITH(parsed({"--global=0"}), "give at least 1");
  EXPECT_THROWS_WITH(parsed({"--ranks=2,x"}), "--ranks");
  EXPECT_THROWS_WITH(parsed({"--take"}), "needs a value");
  EXPECT_THROWS_WITH(parsed({"--out=x.hpp"}), "give --take, too");
  EXPECT(parsed({"--moments=bf16"}).question.moments == std::vector{dtype::bf16});
  EXPECT_THROWS_WITH(parsed({"--moments=fp16"}), "write fp32 or bf16");
}

TEST("--take writes a recipe, and never over a file") {
  auto const f = small.target.facts();
  auto const all = search(f, {1, 2});
  auto const path = (std::filesystem::temp_directory_path() / ("tenon_fit_" + std::to_string(::getpid()) + ".hpp")).string();
  std::filesystem::remove(path);
  recipe_source const from{"/some/where/small.hpp", "mine::small", "cpu{.memory = tenon::bytes{24 << 20}}"};
  auto const first = [&](int ranks, dtype moment) {
    std::size_t at = 0;
    while (all.fitting[at].numbers.ranks != ranks || all.choices[all.fitting[at].choice].moment != moment) ++at;
    return at;
  };
  auto const written = [&](std::size_t at) {
    auto c = parsed({"--ranks=1,2", "--global=12", "--take=1"});
    c.out = path, c.take = int(at) + 1;
    write_taken(c, from, all);
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  };
  auto const alone = first(1, dtype::fp32);
  auto const text = written(alone);
  auto const micro = "r.batch.micro = tenon::samples{" + std::to_string(all.fitting[alone].numbers.micro) + "};";
  for (std::string const& part : {std::string("#include \"/some/where/small.hpp\""), std::string("small_fit = mine::small"), std::string(".replace(tenon::target::cpu{.memory = tenon::bytes{24 << 20}})"), micro, std::string("r.batch.global = tenon::samples{12};"), std::string("static_assert(tenon::plan<small_fit>.fits);")})
    EXPECT(text.find(part) != std::string::npos);
  EXPECT(text.find("ddp") == std::string::npos);
  EXPECT(text.find("moment") == std::string::npos);
  auto c = parsed({"--ranks=1,2", "--global=12", "--take=1"});
  c.out = path;
  EXPECT_THROWS_WITH(write_taken(c, from, all), "is there already");
  std::filesystem::remove(path);
  auto const shared = written(first(2, dtype::bf16));
  EXPECT(shared.find(".replace(tenon::parallel::ddp{.ranks = 2})") != std::string::npos);
  EXPECT(shared.find("r.optimizer.moment = tenon::dtype::bf16;") != std::string::npos);
  std::filesystem::remove(path);
  c.take = int(all.fitting.size()) + 1;
  EXPECT_THROWS_WITH(write_taken(c, from, all), "candidates fit");
}
