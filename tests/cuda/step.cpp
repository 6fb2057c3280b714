// The whole step on a GPU or the emulated one, from the library's own kernels and engine, against plain loops.
#include "cuda/rig.hpp"
#ifndef TENON_ON_GPU
#include "tenon/exec/cuda/kernels.cuh"

namespace tenon::exec::cuda {
TENON_CUDA_KERNELS(float);
TENON_CUDA_KERNELS(nn::bf16);
TENON_CUDA_KERNELS(nn::fp16);
}  // namespace tenon::exec::cuda
#endif

using namespace tenon;
using namespace rigs;

namespace {

/// One step of two micro-batches of unequal counts, sequence and widths no multiples of a tile: loss, gradients, norm,
/// and the weights after it.
template <class Model, class Compute>
void against_loops(double tolerance, bool tf32 = false) {
  constexpr std::int64_t micro = 2, sequence = 21, micro_batches = 2;
  tolerance *= slack;
  step_rows const rows(micro_batches, micro, sequence, Model::vocab, 5);
  auto rules = adamw(0.5);
  rules.tf32 = tf32;
  rig<Model, Compute> gpu(micro, sequence, micro_batches, rules);
  exec::parameter_store<Model, float> plain;
  start(plain);
  if constexpr (!std::is_same_v<Compute, float>)  // the same rounded weights
    for (std::int64_t i = 0; i < plain.size; ++i) plain.master()[i] = nn::widen(nn::narrow<Compute>(plain.master()[i]));
  auto const r = gpu.step(rows, 1e-2);
  double const loss = toy_step(plain, rows, micro, nn::rotation{10000});
  EXPECT_NEAR(r.loss / double(rows.count), loss, tolerance * loss);
  EXPECT(worst<Model>(gpu.gradients(), plain.gradient()) < 10 * tolerance);
  double squares = 0;
  for (std::int64_t i = 0; i < plain.size; ++i) squares += double(plain.gradient()[i]) * plain.gradient()[i];
  EXPECT_NEAR(r.norm, std::sqrt(squares), 10 * tolerance * r.norm);
  EXPECT_EQ(r.applied, 1);
  EXPECT_EQ(r.updates, 1);

  // AdamW's first step in fp64, on the gradients that the GPU has.
  auto const gradients = gpu.gradients(), weights = gpu.weights();
  double const factor = std::min(1.0, 0.5 / (r.norm + 1e-6)), rate = 1e-2;
  double off = 0;
  for (auto const& p : exec::parameter_places<Model>())
    for (std::int64_t i = p.offset; i < p.offset + p.size(); ++i) {
      double const g = gradients[std::size_t(i)] * factor, m = 0.1 * g, v = 0.05 * g * g;
      double w = gpu.host.master()[i];
      if (p.parameter_role != nn::role::norm) w *= 1 - rate * 0.1;
      w -= rate * (m / 0.1) / (std::sqrt(v / 0.05) + 1e-8);
      off = std::max(off, std::abs(w - double(weights[std::size_t(i)])));
    }
  EXPECT(off < 2e-6);
}

/// `steps` steps on rows that differ; the weights after them, and the last report.
template <class Model, class Compute>
std::vector<float> trained(int steps, bool graphs, exec::cuda::step_numbers* last = nullptr, bool tf32 = false) {
  auto rules = adamw();
  rules.tf32 = tf32;
  rig<Model, Compute> gpu(2, 20, 2, rules);
  gpu.on.allow_graphs(graphs);
  exec::cuda::step_numbers r;
  for (int s = 0; s < steps; ++s) r = gpu.step(step_rows(2, 2, 20, Model::vocab, std::uint64_t(s)), 1e-3 * (s + 1));
  EXPECT_EQ(gpu.on.replays(), graphs && steps > 1);
  if (last != nullptr) *last = r;
  return gpu.weights();
}

}  // namespace

TEST("a step on the GPU is the step of the plain loops: fp32, grouped heads, tied and untied, recomputed") {
  SUBCASE("untied, kept") { against_loops<untied, float>(1e-6); }
  SUBCASE("tied, one key head, recomputed") { against_loops<tied, float>(1e-6); }
}

TEST("bf16 and fp16 differ from it by their rounding") {
  SUBCASE("bf16") { against_loops<untied, nn::bf16>(6e-3); }
  SUBCASE("fp16") { against_loops<untied, nn::fp16>(1e-3); }
}

TEST("TF32 rounds the operands of fp32 products where it is asked for, and those of no other format") {
  against_loops<untied, float>(1e-3, true);
  EXPECT(!same_bits(trained<untied, float>(1, false, nullptr, true), trained<untied, float>(1, false)));
  EXPECT(same_bits(trained<untied, nn::bf16>(1, false, nullptr, true), trained<untied, nn::bf16>(1, false)));
}

#ifndef TENON_ON_GPU
TEST("the bits do not depend on the order in which threads run: no barrier is missing") {
  using model = untied;
  auto const forward = trained<model, nn::bf16>(1, false);
  for (auto const o : {emulation::order::backward, emulation::order::mixed}) {
    emulation::threads_run = o;
    EXPECT(same_bits(trained<model, nn::bf16>(1, false), forward));
  }
  emulation::threads_run = emulation::order::forward;
}
#endif

TEST("a graph gives the bits of no graph, with new rows and rates in each step") {
  using model = untied;
  exec::cuda::step_numbers with, without;
  auto const a = trained<model, float>(4, true, &with), b = trained<model, float>(4, false, &without);
  EXPECT(same_bits(a, b));
  EXPECT_EQ(with.loss, without.loss);
  EXPECT_EQ(with.updates, 4);
}

TEST("all memory of the device is one allocation, of the size that the plan counts; steps take none") {
  using model = untied;
#ifdef TENON_ON_GPU
  auto const taken = [] {  // of the whole device: nobody else may work on it meanwhile
    std::size_t free = 0, all = 0;
    exec::cuda::check(cudaMemGetInfo(&free, &all), "asking for the memory");
    return std::int64_t(all - free);
  };
#else
  auto const taken = [] { return emulation::allocated; };
#endif
  rig<model, nn::bf16> gpu(2, 20, 2, adamw());
  constexpr auto planned = exec::cuda::arena_bytes<model, nn::bf16, 2>(40, 2);
  EXPECT_EQ(gpu.on.bytes(), planned);
  for (int s = 0; s < 2; ++s) gpu.step(step_rows(2, 2, 20, model::vocab, std::uint64_t(s)), 1e-3);  // and the graph
  auto const before = taken();
  for (int s = 2; s < 5; ++s) gpu.step(step_rows(2, 2, 20, model::vocab, std::uint64_t(s)), 1e-3);
  EXPECT_EQ(taken(), before);
#ifndef TENON_ON_GPU
  auto const allocations = emulation::allocations, bytes = emulation::allocated;
  rig<model, nn::bf16> another(2, 20, 2, adamw());
  EXPECT_EQ(emulation::allocations - allocations, 1);
  EXPECT_EQ(emulation::allocated - bytes, (planned + 4095) / 4096 * 4096);
#endif
}

TEST("the loss scale moves on the device: an overflow skips the step and halves it, good steps double it") {
  using model = untied;
  rig<model, nn::fp16> gpu(2, 20, 1, adamw(1, true), 0x1p30);
  auto const start = gpu.weights();
  step_rows const rows(1, 2, 20, model::vocab, 1);
  auto r = gpu.step(rows, 1e-3);
  EXPECT_EQ(r.applied, 0);
  EXPECT_EQ(r.scale, 0x1p29);
  EXPECT_EQ(r.skipped, 1);
  EXPECT_EQ(r.updates, 0);
  EXPECT(same_bits(gpu.weights(), start));
  int skipped = 1;
  while (r.applied == 0 && skipped < 40) r = gpu.step(rows, 1e-3), skipped += r.applied == 0;
  EXPECT_EQ(r.skipped, skipped);
  EXPECT_EQ(r.scale, std::ldexp(1.0, 30 - skipped));
  double const settled = r.scale;
  for (int s = 0; s < 2; ++s) r = gpu.step(rows, 1e-3);
  EXPECT_EQ(r.good_steps, 0);  // the interval is 3
  EXPECT_EQ(r.scale, 2 * settled);
  EXPECT_EQ(r.updates, 3);
  EXPECT(!same_bits(gpu.weights(), start));
}

TEST("state that was fetched and loaded elsewhere goes on with the same bits") {
  using model = untied;
  auto const straight = trained<model, nn::bf16>(4, true);
  rig<model, nn::bf16> first(2, 20, 2, adamw()), second(2, 20, 2, adamw());
  for (int s = 0; s < 2; ++s) first.step(step_rows(2, 2, 20, model::vocab, std::uint64_t(s)), 1e-3 * (s + 1));
  std::vector<float> w(std::size_t(model_size<model>)), m(w.size()), v(w.size());
  auto const numbers = first.on.fetch(w.data(), {m.data(), v.data()});
  second.on.load(w.data(), {m.data(), v.data()}, numbers);
  for (int s = 2; s < 4; ++s) second.step(step_rows(2, 2, 20, model::vocab, std::uint64_t(s)), 1e-3 * (s + 1));
  EXPECT(same_bits(second.weights(), straight));

  std::fill(v.begin(), v.end(), 0.f);  // without the second moments it is another run
  second.on.load(w.data(), {m.data(), v.data()}, numbers);
  for (int s = 2; s < 4; ++s) second.step(step_rows(2, 2, 20, model::vocab, std::uint64_t(s)), 1e-3 * (s + 1));
  EXPECT(!same_bits(second.weights(), straight));
}

/// Three steps with moments in bf16 against the formula in fp64, its moments rounded after each step. Weights and moments.
template <int Moments>
void with_narrow_moments(exec::cuda::step_rules const& rules) {
  using model = untied;
  rig<model, float, Moments, nn::bf16> gpu(2, 20, 1, rules);
  EXPECT_EQ(gpu.on.bytes(), (exec::cuda::arena_bytes<model, float, Moments>(40, 1, 2)));
  auto const kept = [](double x) { return double(nn::widen(nn::narrow<nn::bf16>(float(x)))); };
  auto const start = gpu.weights();
  std::vector<double> w(start.begin(), start.end()), m(w.size(), 0.), v(w.size(), 0.), exact(w), em(m), ev(v);
  double const rate = 0.01;
  for (int s = 1; s <= 3; ++s) {
    gpu.step(step_rows(1, 2, 20, model::vocab, std::uint64_t(s)), rate);
    auto const g = gpu.gradients();
    auto const move = [&](double& weight, double& mean, double& square, double gradient, bool decays, bool rounds) {
      if (decays) weight *= 1 - rate * rules.weight_decay;
      if (rules.rule == exec::cuda::update_rule::adamw) {
        mean = rules.beta1 * mean + (1 - rules.beta1) * gradient;
        square = rules.beta2 * square + (1 - rules.beta2) * gradient * gradient;
        weight -= rate * mean / (1 - std::pow(rules.beta1, s)) / (std::sqrt(square / (1 - std::pow(rules.beta2, s))) + rules.epsilon);
      } else {
        mean = rules.momentum * mean + gradient;
        weight -= rate * mean;
      }
      if (rounds) mean = kept(mean), square = kept(square);
    };
    for (auto const& p : exec::parameter_places<model>())
      for (auto i = std::size_t(p.offset); i < std::size_t(p.offset + p.size()); ++i) {
        bool const decays = p.parameter_role != nn::role::norm;
        move(w[i], m[i], v[i], double(g[i]), decays, true), move(exact[i], em[i], ev[i], double(g[i]), decays, false);
      }
  }
  auto const have = gpu.weights();
  std::vector<nn::bf16> moment(w.size());
  exec::cuda::copy_to_host(gpu.on.stream(), moment.data(), gpu.on.moment(0), std::int64_t(w.size()) * 2);
  exec::cuda::wait_for(gpu.on.stream());
  double off = 0, off_exact = 0, off_moment = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    off = std::max(off, std::abs(w[i] - double(have[i]))), off_exact = std::max(off_exact, std::abs(exact[i] - double(have[i])));
    off_moment = std::max(off_moment, std::abs(m[i] - double(nn::widen(moment[i]))) / (std::abs(m[i]) + 1e-6));
  }
  // A moment beside the middle of two neighbours may round to the other one: 1/128 of it, and what that moves a weight.
  EXPECT(off_moment < 1. / 120);
  EXPECT(off < off_exact);
  EXPECT(off_exact > 2e-6);
}

TEST("moments in bf16: half the bytes, and the formula with its moments rounded after each step") {
  SUBCASE("AdamW") { with_narrow_moments<2>(adamw(0)); }
  SUBCASE("SGD") {
    exec::cuda::step_rules rules;
    rules.rule = exec::cuda::update_rule::sgd, rules.momentum = 0.9, rules.weight_decay = 0.1;
    with_narrow_moments<1>(rules);
  }
}

TEST("SGD with momentum") {
  using model = untied;
  for (double const nesterov : {0.0, 1.0}) {
    exec::cuda::step_rules rules;
    rules.rule = exec::cuda::update_rule::sgd, rules.momentum = 0.9, rules.nesterov = nesterov, rules.weight_decay = 0.1;
    rig<model, float, 1> gpu(2, 20, 1, rules);
    std::vector<double> w, b(std::size_t(model_size<model>), 0.);
    for (auto const x : gpu.weights()) w.push_back(x);
    for (int s = 0; s < 2; ++s) {
      gpu.step(step_rows(1, 2, 20, model::vocab, std::uint64_t(s)), 0.1);
      auto const g = gpu.gradients();
      for (auto const& p : exec::parameter_places<model>())
        for (auto i = std::size_t(p.offset); i < std::size_t(p.offset + p.size()); ++i) {
          b[i] = 0.9 * b[i] + g[i];
          if (p.parameter_role != nn::role::norm) w[i] *= 1 - 0.1 * 0.1;
          w[i] -= 0.1 * (nesterov != 0 ? g[i] + 0.9 * b[i] : b[i]);
        }
    }
    auto const have = gpu.weights();
    double off = 0;
    for (std::size_t i = 0; i < w.size(); ++i) off = std::max(off, std::abs(w[i] - double(have[i])));
    EXPECT(off < 2e-6);
  }
}

TEST("forward only gives the loss of training") {
  using model = tied;
  rig<model, float> gpu(2, 20, 1, adamw());
  step_rows const rows(1, 2, 20, model::vocab, 3);
  double const alone = gpu.on.evaluate(rows.view(0, 2)), one = gpu.on.evaluate(rows.view(0, 1));
  auto const r = gpu.step(rows, 1e-3);
  EXPECT_NEAR(alone, r.loss, 1e-6 * r.loss);
  EXPECT(one < alone);
  EXPECT(gpu.on.evaluate(rows.view(0, 2)) < alone);  // it has learned
}
