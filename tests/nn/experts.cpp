// Latent attention and routed experts: the CPU's executor against plain loops, in fp32 and through recomputation; experts that
// get all rows or none; the router's choices, its bias and its balance losses.
#include <cstring>

#include "support/micro_batch.hpp"
#include "support/test.hpp"
#include "support/toy_executor.hpp"
#include "tenon/deploy/generate.hpp"
#include "tenon/exec/activations.hpp"
#include "tenon/exec/cpu/executor.hpp"
#include "tenon/exec/store.hpp"
#include "tenon/models/deepseek_v3.hpp"

using namespace tenon;

namespace {

template <class Routing, int Every = 0>
using tiny = models::deepseek_v3<29, 16, 2, 1, 20, 32, false, models::latent_shape<2, 6, 8, 4, 4, 6, nn::bits(1.3)>,
                                 models::expert_shape<6, 2, Routing>, nn::bits(1e-6), Every, 2>;
using sigmoid = nn::routing<8, 3, 4, 2, nn::gate::sigmoid, true, nn::bits(2.5)>;

template <class Model>
struct values : exec::parameter_store<Model, float> {
  values() {
    this->initialise(5, 0.3);
    random_stream const random(5, "the rest");
    for (auto const& p : exec::parameter_places<Model>())
      for (std::int64_t i = 0; i < p.size(); ++i)
        if (p.parameter_role == nn::role::norm || p.parameter_role == nn::role::router_bias)
          this->master()[p.offset + i] += float(0.3 * random.normal(std::uint64_t(p.offset + i)));
    std::memset(this->gradient(), 0xff, std::size_t(this->size) * 4);  // NaN: nothing is cleared beforehand
  }
};

/// Two micro-batches of unequal sizes, with balance losses. `members` 0: plain loops.
template <class Model>
std::pair<double, double> step(values<Model>& store, int members) {
  std::vector<random_batch> const batches{{3, 20, 29, 1}, {2, 20, 29, 2}};
  exec::activations<Model, float> memory(60, std::max(1, members), 20, 10000);
  std::fill_n(memory.saved.balance_loss.data, 60, 0.);
  auto const run = [&](auto& x) {
    for (auto const& one : batches) {
      auto b = one.view(memory.rotary_cos, memory.rotary_sin);
      b.balance = {0.3f, 0.2f, 0.1f}, b.balance_seed = 1.f / 5, b.further_weight = 0.4f;
      Model::forward_backward(x, store, b, memory.saved, memory.scratch, 0.01f, &one == &batches[0]);
    }
  };
  if (members == 0) {
    toy_executor x;
    run(x);
  } else {
    exec::cpu::team team(members);
    auto region = [&](int member) {
      exec::cpu::executor<float> x(team, member, memory.workspace(member), memory.shared());
      run(x);
    };
    team.run(region);
  }
  double balance = 0;
  for (int i = 0; i < 60; ++i) balance += memory.saved.balance_loss.data[i];
  return {nn::sum_of_tiles(memory.saved.head.loss, 60), balance};
}

}  // namespace

TEST(
    "latent attention, experts and multi-token prediction on the CPU's team are what plain loops say, for any number of "
    "members the same bits") {
  values<tiny<sigmoid>> plain;
  auto const want = step(plain, 0);
  EXPECT(want.second > 0);
  values<tiny<sigmoid>> one;
  step(one, 1);
  for (int members : {1, 2, 3}) {
    values<tiny<sigmoid>> store;
    auto const have = step(store, members);
    EXPECT_NEAR(have.first, want.first, 1e-5 * want.first);
    EXPECT_NEAR(have.second, want.second, 1e-5 * want.second);
    for (auto const& p : exec::parameter_places<tiny<sigmoid>>()) {
      double off = 0, size = 0;
      for (std::int64_t i = 0; i < p.size(); ++i) {
        double const w = plain.gradient()[p.offset + i], h = store.gradient()[p.offset + i];
        off += (w - h) * (w - h), size += w * w;
        REQUIRE(h == one.gradient()[p.offset + i]);
      }
      DOCTEST_INFO(p.name << " on " << members << " members: " << std::sqrt(off / size));
      EXPECT(std::sqrt(off) <= 2e-5 * std::sqrt(size));
    }
  }
  values<tiny<sigmoid, 1>> again;
  step(again, 2);
  for (auto const& p : exec::parameter_places<tiny<sigmoid>>())  // counts of the bias among them
    for (std::int64_t i = 0; i < p.size(); ++i) REQUIRE(again.gradient()[p.offset + i] == one.gradient()[p.offset + i]);
}

TEST("latent attention: prompts of different lengths grow together as each does alone") {
  using model = tiny<sigmoid>;
  values<model> const store;
  std::vector<std::vector<std::int32_t>> const prompts{{3, 1, 4, 1, 5, 9, 2}, {6}, {5, 3, 5, 8}};
  for (int members : {1, 3}) {
    exec::cpu::team team(members);
    deploy::generator<model, float> g(24, members, 10000, 3);
    auto const grown = [&](std::vector<std::vector<std::int32_t>> const& texts) {
      auto all = texts;
      std::vector<std::size_t> left(texts.size(), 16);  // one of them ends before the others
      left[0] = 5;
      g.run_all(
          team, store, texts, 29, {.temperature = 0}, [&](std::size_t i, std::int32_t id) { all[i].push_back(id); },
          [&](std::size_t i, std::int32_t) { return left[i]-- == 0; });
      return all;
    };
    auto const together = grown(prompts);
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      auto const alone = grown({prompts[i]})[0];
      auto const n = std::min(alone.size(), together[i].size());
      EXPECT(n >= prompts[i].size() + 5);
      for (std::size_t j = 0; j < n; ++j) EXPECT_EQ(alone[j], together[i][j]);
    }
    EXPECT_EQ(together[1].size(), std::size_t{17});
  }
}

namespace {

/// Four experts, one for each row; the bias sends every row to expert 2.
using single = nn::routing<4, 1, 1, 1, nn::gate::sigmoid, true, nn::bits(1.0)>;
using layer = nn::mixture_of_experts<16, 6, 1, single>;
using expert = nn::swiglu<16, 6>;

template <class Layer>
struct memory_of {
  typename Layer::template saved<float> saved{};
  typename Layer::scratch scratch{};
  std::vector<std::byte> room;
  explicit memory_of(std::int64_t rows) {
    room.resize(std::size_t(nn::activation_bytes<decltype(saved)>(rows, 1) + nn::activation_bytes<decltype(scratch)>(rows, 1)));
    auto* const p = nn::bind_activations(saved, room.data(), rows, 1);
    nn::bind_activations(scratch, p, rows, 1);
  }
};

}  // namespace

TEST("a router forced onto one expert: no row is dropped, the others' gradients are exact zeros") {
  constexpr std::int64_t n = 70;
  std::vector<float> w(std::size_t(nn::padded_parameters<layer>())), g(w.size(), std::nanf(""));
  random_stream const random(3, "weights");
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = float(0.3 * random.normal(i));
  layer::params<nn::weights<float>> p{};
  layer::params<nn::gradients> sinks{};
  nn::bind_parameters(p, w.data()), nn::bind_parameters(sinks, g.data());
  float* const bias = p.gate.e_score_correction_bias.data;
  bias[0] = bias[1] = bias[3] = 0, bias[2] = 100;

  // The same expert and the shared one as plain layers, one after the other.
  expert::params<nn::weights<float>> alone{};
  alone.gate_proj.weight.data = nn::stack{p.experts.gate_proj.weight, layer::stride}[2].data;
  alone.up_proj.weight.data = nn::stack{p.experts.up_proj.weight, layer::stride}[2].data;
  alone.down_proj.weight.data = nn::stack{p.experts.down_proj.weight, layer::stride}[2].data;
  std::vector<float> g_alone(std::size_t(nn::padded_parameters<expert>())), g_shared(g_alone.size());
  expert::params<nn::gradients> sinks_alone{}, sinks_shared{};
  nn::bind_parameters(sinks_alone, g_alone.data()), nn::bind_parameters(sinks_shared, g_shared.data());

  memory_of<layer> m(n);
  memory_of<expert> one(n), shared(n);
  std::vector<float> stream(n * 16, 0), want(n * 16, 0), d(n * 16), d_in(n * 16), d_one(n * 16), d_shared(n * 16);
  for (std::size_t i = 0; i < n * 16; ++i) {
    m.saved.dw.in.data[i] = one.saved.dw.in.data[i] = shared.saved.dw.in.data[i] = float(random.normal(1000 + i));
    d[i] = float(random.normal(9000 + i));
  }
  nn::micro_batch const b{.samples = 1, .sequence = n};
  std::vector<float> own(std::size_t(exec::linear_workspace(16, 16))), both(std::size_t(exec::product_workspace(n, 64, true)));
  exec::cpu::team team(1);
  auto region = [&](int member) {
    exec::cpu::executor<float> x(team, member, own.data(), both.data());
    layer::forward<nn::mode::train>(x, b, p, m.saved, {stream.data()});
    layer::backward_input(x, b, p, m.saved, m.scratch, {d.data()}, {d_in.data()});
    layer::backward_weight(x, b, sinks, m.saved);
    expert::forward<nn::mode::train>(x, b, alone, one.saved, {want.data()});
    expert::forward<nn::mode::train>(x, b, p.shared_experts, shared.saved, {want.data()});
    expert::backward_input(x, b, alone, one.saved, one.scratch, {d.data()}, {d_one.data()});
    expert::backward_input(x, b, p.shared_experts, shared.saved, shared.scratch, {d.data()}, {d_shared.data()});
    expert::backward_weight(x, b, sinks_alone, one.saved);
    expert::backward_weight(x, b, sinks_shared, shared.saved);
  };
  team.run(region);

  std::int32_t const first[] = {0, 0, 0, n, n};
  EXPECT(std::equal(first, first + 5, m.saved.dx.first.data));
  float const counts[] = {0, 0, n, 0};
  EXPECT(std::equal(counts, counts + 4, sinks.gate.e_score_correction_bias.data));
  // One chosen expert with normalised weights has the weight 1: the layer is the two experts' sum. The router's own
  // gradient is 0 then.
  for (std::size_t i = 0; i < n * 16; ++i) {
    EXPECT_NEAR(stream[i], want[i], 1e-5);
    EXPECT_NEAR(d_in[i], d_one[i] + d_shared[i], 1e-5);
  }
  auto const close = [](float const* have, float const* should, std::int64_t size) {
    for (std::int64_t i = 0; i < size; ++i) EXPECT_NEAR(have[i], should[i], 1e-4);
  };
  for (int e = 0; e < 4; ++e) {
    auto const gate = nn::stack{sinks.experts.gate_proj.weight, layer::stride}[e], up = nn::stack{sinks.experts.up_proj.weight, layer::stride}[e];
    auto const down = nn::stack{sinks.experts.down_proj.weight, layer::stride}[e];
    if (e == 2) {
      close(gate.data, sinks_alone.gate_proj.weight.data, 6 * 16);
      close(up.data, sinks_alone.up_proj.weight.data, 6 * 16);
      close(down.data, sinks_alone.down_proj.weight.data, 6 * 16);
    } else {
      for (float const* one_of : std::initializer_list<float const*>{gate.data, up.data, down.data})
        for (int i = 0; i < 6 * 16; ++i) REQUIRE((one_of[i] == 0.f && !std::signbit(one_of[i])));
    }
  }
  close(sinks.shared_experts.gate_proj.weight.data, sinks_shared.gate_proj.weight.data, 6 * 16);
}

TEST("the bias moves against the load, by the sign or centred") {
  std::vector<float> w(std::size_t(nn::padded_parameters<layer>()), 0), g(w.size(), 0);
  layer::params<nn::weights<float>> p{};
  layer::params<nn::gradients> sinks{};
  nn::bind_parameters(p, w.data()), nn::bind_parameters(sinks, g.data());
  float const count[] = {10, 2, 5, 3};  // mean 5
  std::copy_n(count, 4, sinks.gate.e_score_correction_bias.data);
  float* const bias = p.gate.e_score_correction_bias.data;
  toy_executor x;
  layer::end_of_step(x, p, sinks, {0.01f, false});
  float const by_sign[] = {-0.01f, 0.01f, 0, 0.01f};
  for (int e = 0; e < 4; ++e) EXPECT_NEAR(bias[e], by_sign[e], 1e-9);
  std::fill_n(bias, 4, 0.f);
  layer::end_of_step(x, p, sinks, {0.01f, true});
  for (int e = 0; e < 4; ++e) EXPECT_NEAR(bias[e], by_sign[e] - 0.0025f, 1e-9);
}

TEST("a router keeps to its groups even where every biased score is negative, and takes the first of equals") {
  float const scores[] = {0.9f, 0.1f, 0.2f, 0.2f, 0.3f, 0.3f, 0.8f, 0.7f};
  float const bias[] = {-2, -2, -2, -2, -2, -2, -2, -2};
  std::int32_t chosen[3];
  sigmoid::choose(scores, bias, chosen);  // groups count as the sum of their two best: 1.0, 0.4, 0.6, 1.5
  EXPECT((chosen[0] == 0 && chosen[1] == 6 && chosen[2] == 7));
  using by_best = nn::routing<8, 3, 4, 2, nn::gate::softmax, false, nn::bits(1.0)>;
  by_best::choose(scores, nullptr, chosen);  // groups count as their best: 0.9, 0.2, 0.3, 0.8
  EXPECT((chosen[0] == 0 && chosen[1] == 6 && chosen[2] == 7));
  float const equal[] = {0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f};
  sigmoid::choose(equal, nullptr, chosen);
  EXPECT((chosen[0] == 0 && chosen[1] == 1 && chosen[2] == 2));
}
