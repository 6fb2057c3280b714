// Adapters against `peft` on transformers' models, and against autograd on W + alpha / rank B A where peft has none
// (tests/golden/lora.py): logits, loss, every gradient; and what freezing leaves.
#include "parity/parity.hpp"
#include "tenon/train/static_engine.hpp"

using namespace parity;

namespace {

using of_attention = tn::nn::train_adapters<4, tn::nn::roles(tn::nn::role::attention)>;
using of_both = tn::nn::train_adapters<4, tn::nn::roles(tn::nn::role::attention, tn::nn::role::feed_forward)>;
constexpr float scale = 6.f / 4;

/// A model under a training, with the numbers of the golden file.
template <class Model, class Training>
struct engine_of {
  static constexpr std::int64_t rows = 48, sequence = 24, vocab = 48;
  tn::exec::cpu::team team;
  tn::train::static_engine<Model, float, Training> engine;
  std::vector<std::int32_t> tokens, targets, positions, start;
  std::int64_t count = 0;

  engine_of(golden const& file, std::string const& rope, int members)
      : team(members), engine(rows, sequence, members, {10000, scaling(rope)}, {}, {}, 0, scale) {
    std::vector<float> values;
    if constexpr (Training::splits)
      for (auto const& p : engine.frozen_places()) {
        values.resize(std::size_t(p.size()));
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = value(p.name, i, 1);
        engine.set_frozen(p, values.data());
      }
    for (auto const& p : engine.places())
      for (std::int64_t i = 0; i < p.size(); ++i)
        engine.master()[p.offset + i] =
            value(p.name, std::uint64_t(i), 1) * (p.parameter_role == tn::nn::role::adapter ? 0.25f : 1.f);
    std::fill_n(engine.gradient(), engine.size(), std::nanf(""));  // nothing is cleared beforehand
    for (auto const t : file.integers("tokens")) tokens.push_back(std::int32_t(t));
    auto const labels = file.integers("labels");
    for (std::int64_t i = 0; i < rows; ++i) {
      auto const next = (i + 1) % sequence == 0 ? -100 : labels[std::size_t(i) + 1];
      targets.push_back(next < 0 ? -1 : std::int32_t(next)), count += next >= 0;
      positions.push_back(std::int32_t(i % sequence)), start.push_back(0);
    }
  }
  template <class F>
  void each_member(F&& f) {
    auto region = [&](int member) {
      auto x = engine.on(team, member);
      f(x);
    };
    team.run(region);
  }
  tn::nn::micro_batch batch(std::vector<std::int32_t> const& wanted) const {
    return {.samples = 2,
            .sequence = sequence,
            .tokens = tokens.data(),
            .targets = wanted.data(),
            .positions = positions.data(),
            .document_start = start.data()};
  }
  std::vector<float> logits() {
    std::vector<std::int32_t> const none(std::size_t(rows), -1);
    each_member([&](auto& x) { engine.evaluate(x, batch(none)); });
    float const* const l = engine.memory().saved.head.logits.data;
    return {l, l + rows * vocab};
  }
  double loss_and_gradients() {
    each_member([&](auto& x) {
      engine.clear_loss(x);
      engine.forward_backward(x, batch(targets), 1.f / float(count), true);
    });
    return engine.loss_sum() / double(count);
  }
};

template <class Model, class Adapters>
void follows(std::string const& name, std::string const& rope) {
  static remove_fresh_files const at_the_end;
  golden const file(name);
  std::vector<float> first;
  for (int members : {1, 3}) {
    engine_of<Model, Adapters> r(file, rope, members);
    auto const want = file.reals("logits");
    auto const have = r.logits();
    DOCTEST_INFO(name << ": logits " << relative_distance(have.data(), want.data(), want.size()));
    EXPECT(relative_distance(have.data(), want.data(), want.size()) <= 1e-5);
    EXPECT_NEAR(r.loss_and_gradients(), file.reals("loss")[0], 1e-5 * file.reals("loss")[0]);
    std::size_t compared = 0;
    for (auto const& p : r.engine.places()) {
      if (p.parameter_role == tn::nn::role::router_bias) continue;
      auto const gradient = file.reals("gradient/" + p.name);
      REQUIRE(gradient.size() == std::size_t(p.size()));
      double const off = relative_distance(r.engine.gradient() + p.offset, gradient.data(), gradient.size());
      DOCTEST_INFO(p.name << " is off by " << off);
      EXPECT(off <= 1e-4);
      ++compared;
    }
    std::size_t wanted = 0;
    for (auto const& [n, unused] : file.tensors()) wanted += n.rfind("gradient/", 0) == 0;
    EXPECT_EQ(compared, wanted);  // all that peft trains, and nothing else
    std::vector<float> const all(r.engine.gradient(), r.engine.gradient() + r.engine.size());
    if (members == 1) first = all;
    EXPECT(std::memcmp(all.data(), first.data(), all.size() * 4) == 0);  // whatever the number of members
  }
}

}  // namespace

TEST("adapters: logits, loss and gradients are peft's, or autograd's on their sum with the weight") {
  SUBCASE("dense") { follows<dense<2, false>, of_both>("lora_dense", "linear"); }
  SUBCASE("DeepSeek-V3, attention alone") { follows<v3<24, 1, 1, true>, of_attention>("lora_v3", "llama3"); }
  SUBCASE("DeepSeek-V3, attention, dense blocks and shared experts: by hand") {
    follows<v3<24, 1, 1, true>, of_both>("lora_v3_whole", "llama3");
  }
}

TEST("frozen roles: the others have the gradients that they have without, and nothing is kept for the frozen") {
  using model = dense<2, false>;
  using some = tn::nn::train_without<tn::nn::roles(tn::nn::role::embedding, tn::nn::role::attention)>;
  golden const file("lora_dense");
  engine_of<model, tn::nn::train_all> whole(file, "linear", 2);
  engine_of<model, some> part(file, "linear", 2);
  EXPECT_NEAR(part.loss_and_gradients(), whole.loss_and_gradients(), 1e-5);  // not bits: the two are compiled apart
  std::map<std::string, float const*> gradients;
  for (auto const& p : whole.engine.places()) gradients[p.name] = whole.engine.gradient() + p.offset;
  std::size_t trained = 0;
  for (auto const& p : part.engine.places()) {
    DOCTEST_INFO(p.name);
    EXPECT(p.name.find("self_attn") == p.name.npos);
    EXPECT(relative_distance(part.engine.gradient() + p.offset, gradients.at(p.name), std::size_t(p.size())) <= 1e-5);
    ++trained;
  }
  EXPECT_EQ(trained, 2 * 5 + 1);  // of each block three matrices and two norms; the last norm
  EXPECT_EQ(trained + part.engine.frozen_places().size(), whole.engine.places().size());
  EXPECT(part.engine.size() < whole.engine.size());
}
