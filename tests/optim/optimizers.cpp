// AdamW and SGD against torch.optim (tests/golden): the same start, gradients and rates, 100 steps.
#include <c10/util/BFloat16.h>

#include "golden/golden.hpp"
#include "support/test.hpp"
#include "tenon/optim/adamw.hpp"
#include "tenon/optim/routes.hpp"
#include "tenon/optim/sgd.hpp"
#include "tenon/recipe/schedule.hpp"

using namespace tenon;

namespace {

constexpr std::int64_t decayed = 211, undecayed = 109, size = decayed + undecayed, cycle = 10, num_steps = 100;

/// The two parameters of the golden run as places of one buffer: a hidden matrix and a norm.
std::vector<nn::parameter_place> places() {
  return {{"hidden", 0, 1, decayed, 2, nn::role::hidden, nn::initializer::normal, {}},
          {"norm", decayed, 1, undecayed, 1, nn::role::norm, nn::initializer::ones, {}}};
}

template <class Policy, class Moment = float>
struct run {
  golden file{"optimizers"};
  std::vector<float> weights = file.floats("start"), base = file.floats("gradients"),
                     gradient = std::vector<float>(size);
  std::vector<std::int64_t> exponents = file.integers("exponents");
  std::vector<double> rates = file.reals("rates");
  std::vector<optim::region> regions = optim::regions(places(), size);
  using engine = optim::engine<Policy, Moment>;
  typename engine::state state = optim::start_state<engine>(size);

  /// One step on two members' halves, the boundary not on a register; `factor` is undone by the gradient factor.
  void step(Policy const& p, float factor = 1) {
    auto const t = state.updates++;
    for (std::int64_t i = 0; i < size; ++i)
      gradient[std::size_t(i)] =
          std::ldexp(base[std::size_t(t % cycle * size + i)], int(exponents[std::size_t(t)])) * factor;
    auto const constants = engine::prepare(p, rates[std::size_t(t)], t + 1, 1 / factor);
    for (auto const& [from, to] : {std::pair<std::int64_t, std::int64_t>{0, 77}, {77, size}})
      optim::for_each_region(regions, from, to, [&](std::int64_t first, std::int64_t last, bool decays) {
        engine::update(constants, state, weights.data(), gradient.data(), weights.data(), first, last, decays);
      });
  }
  /// The tensor within 1e-6 of its norm, and every element within 2e-6 (16 roundings) of the largest value that it has
  /// had so far: sums of opposite signs cannot be better.
  void compare(std::string const& name, float const* have, std::vector<float> const& largest) {
    DOCTEST_INFO(name);
    auto const want = file.reals(name);
    REQUIRE(want.size() == std::size_t(size));
    double most = 0;
    for (std::size_t i = 0; i < want.size(); ++i)
      most = std::fmax(most, std::abs(have[i] - want[i]) / std::fmax(1e-30, double(largest[i])));
    double const distance = relative_distance(have, want.data(), want.size());
    DOCTEST_INFO("relative distance " << distance << ", worst element " << most);
    EXPECT(most <= 2e-6);
    EXPECT(distance <= 1e-6);
  }
  void follow(Policy const& p, std::string const& name, float factor = 1) {
    auto const raise = [](std::vector<float>& largest, float const* now) {
      for (std::size_t i = 0; i < largest.size(); ++i) largest[i] = std::fmax(largest[i], std::abs(now[i]));
    };
    std::vector<float> weight(size);
    std::vector<std::vector<float>> moment(state.moments.size(), weight);
    raise(weight, weights.data());
    for (std::int64_t t = 1; t <= num_steps; ++t) {
      step(p, factor);
      raise(weight, weights.data());
      for (std::size_t m = 0; m < moment.size(); ++m) raise(moment[m], state.moments[m].template as<float>());
      if (file.tensors().count(name + "." + std::to_string(t)) != 0)
        compare(name + "." + std::to_string(t), weights.data(), weight);
    }
    for (std::size_t m = 0; m < moment.size(); ++m) {
      auto const tensor = name + "." + optim::engine<Policy>::moment_names[m];
      if (p.kind == "adamw" || file.tensors().count(tensor) != 0)
        compare(tensor, state.moments[m].template as<float>(), moment[m]);
    }
  }
};

}  // namespace

TEST("the schedule's rates are those that the golden runs were made with") {
  golden const file("optimizers");
  auto const rates = file.reals("rates");
  constexpr schedule::warmup_cosine s{.peak = 1e-2, .warmup = steps{10}, .floor = 0.1};
  for (std::size_t t = 0; t < rates.size(); ++t)
    EXPECT_NEAR(s.at(steps{std::int64_t(t)}, steps{num_steps}, tokens{1}), rates[t], 1e-15);
}

TEST("A1: AdamW equals torch.optim.AdamW after 100 steps: 1e-6 relative, decayed and undecayed, moments too") {
  optimizer::adamw const p{.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1};
  SUBCASE("gradients as they are") { run<optimizer::adamw>{}.follow(p, "adamw"); }
  SUBCASE("gradients scaled, and unscaled by the step") { run<optimizer::adamw>{}.follow(p, "adamw", 1024); }
  SUBCASE("torch's default betas") {
    run<optimizer::adamw>{}.follow({.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.01}, "adamw999");
  }
}

TEST("the comparison with AdamW notices each of its numbers") {
  auto const differs = [](optimizer::adamw const& p) {
    run<optimizer::adamw> r;
    for (int t = 0; t < num_steps; ++t) r.step(p);
    auto const want = r.file.reals("adamw.100");
    return relative_distance(r.weights.data(), want.data(), want.size()) > 1e-5;
  };
  EXPECT(!differs({.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1}));
  EXPECT(differs({.beta1 = 0.9001, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1}));
  EXPECT(differs({.beta1 = 0.9, .beta2 = 0.9501, .epsilon = 1e-8, .weight_decay = 0.1}));
  EXPECT(differs({.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1.1e-8, .weight_decay = 0.1}));
  EXPECT(differs({.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.101}));
}

TEST("SGD equals torch.optim.SGD after 100 steps; its decay is the decoupled one") {
  SUBCASE("plain") { run<optimizer::sgd>{}.follow({.momentum = 0}, "sgd.plain"); }
  SUBCASE("momentum") { run<optimizer::sgd>{}.follow({.momentum = 0.9}, "sgd.momentum"); }
  SUBCASE("nesterov") { run<optimizer::sgd>{}.follow({.momentum = 0.9, .nesterov = true}, "sgd.nesterov"); }
  SUBCASE("nesterov, with w *= 1 - rate * decay before each step of torch's") {
    run<optimizer::sgd>{}.follow({.momentum = 0.9, .nesterov = true, .weight_decay = 0.1}, "sgd.decay");
  }
}

/// The same steps in fp64, one element after the other, with moments that LibTorch's BFloat16 has rounded after each step.
template <class Moment>
std::vector<double> by_formula(optimizer::adamw const& p) {
  run<optimizer::adamw> r;
  std::vector<double> w(r.weights.begin(), r.weights.end());
  std::vector<Moment> m(size, Moment(0.f)), v(size, Moment(0.f));
  for (std::int64_t t = 1; t <= num_steps; ++t) {
    double const rate = r.rates[std::size_t(t - 1)];
    for (std::size_t i = 0; i < std::size_t(size); ++i) {
      double const g = std::ldexp(double(r.base[std::size_t((t - 1) % cycle * size) + i]), int(r.exponents[std::size_t(t - 1)]));
      double const mean = p.beta1 * double(float(m[i])) + (1 - p.beta1) * g, square = p.beta2 * double(float(v[i])) + (1 - p.beta2) * g * g;
      if (std::int64_t(i) < decayed) w[i] *= 1 - rate * p.weight_decay;
      w[i] -= rate / (1 - std::pow(p.beta1, double(t))) * mean / (std::sqrt(square / (1 - std::pow(p.beta2, double(t)))) + p.epsilon);
      m[i] = Moment(float(mean)), v[i] = Moment(float(square));
    }
  }
  return w;
}

TEST("AdamW with moments in bf16: the formula with both rounded by LibTorch's BFloat16, and not what fp32 gives") {
  optimizer::adamw const p{.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .moment = dtype::bf16};
  run<optimizer::adamw, nn::bf16> r;
  for (int t = 0; t < num_steps; ++t) r.step(p);
  auto const want = by_formula<c10::BFloat16>(p), wide = by_formula<float>(p);
  double const to_narrow = relative_distance(r.weights.data(), want.data(), want.size());
  double const to_wide = relative_distance(r.weights.data(), wide.data(), wide.size());
  DOCTEST_INFO("distance " << to_narrow << ", from fp32's " << to_wide);
  EXPECT(to_narrow < 1e-5);  // a sum in another order may round a moment the other way
  EXPECT(to_wide > 10 * to_narrow);
  EXPECT(to_wide < 1e-2);
  EXPECT_EQ(r.state.moments[0].bytes(), 2 * size);
}

TEST("the compute copy is the rounded master, and padding stays zero") {
  run<optimizer::adamw> r;
  std::vector<nn::bf16> copy(size + 32);
  std::vector<float> weights(size + 32), gradient(size + 32);
  std::copy(r.weights.begin(), r.weights.end(), weights.begin());
  std::copy(r.base.begin(), r.base.begin() + size, gradient.begin());
  auto state = optim::start_state<optim::engine<optimizer::adamw>>(size + 32);
  auto const constants = optim::engine<optimizer::adamw>::prepare({}, 1e-2, 1, 1.f);
  optim::engine<optimizer::adamw>::update(constants, state, weights.data(), gradient.data(), copy.data(), 0, size + 32,
                                          true);
  int moved = 0;
  for (std::int64_t i = 0; i < size + 32; ++i) {
    auto const at = std::size_t(i);
    EXPECT_EQ(copy[at].bits, nn::narrow<nn::bf16>(weights[at]).bits);
    if (i < size)
      moved += weights[at] != r.weights[at];
    else
      EXPECT_EQ(weights[at], 0.f);
  }
  EXPECT(moved > size / 2);
}
