#include "support/test.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <cstring>
#include <filesystem>

#include "support/micro_batch.hpp"
#include "tenon/train/torch_module.hpp"
#include "tenon/train/checkpointing.hpp"
#include "tenon/train/evaluate.hpp"
#include "tenon/train/step.hpp"

using namespace tenon;
using namespace tenon::literals;

namespace {

/// A model without torch::nn: whatever has named_parameters and forward will do. One parameter is frozen, one buffer counts
/// calls, one holds a running mean, and dropout draws random numbers.
struct letters {
  static constexpr int vocab = 300, width = 16;
  at::Tensor table = (at::randn({vocab, width}) * 0.3).requires_grad_(true);
  at::Tensor mix = (at::randn({width, width}) * 0.2).requires_grad_(true);
  at::Tensor shift = at::zeros({width}).requires_grad_(true);
  at::Tensor frozen = at::randn({width, vocab});
  at::Tensor mean = at::zeros({width}), calls = at::zeros({}, at::kLong);
  bool training = true;

  std::vector<std::pair<std::string, at::Tensor>> named_parameters() const { return {{"table", table}, {"mix", mix}, {"shift", shift}, {"frozen", frozen}}; }
  std::vector<std::pair<std::string, at::Tensor>> named_buffers() const { return {{"mean", mean}, {"calls", calls}}; }
  void train(bool on) { training = on; }
  at::Tensor forward(at::Tensor const& tokens) {
    auto h = at::embedding(table, tokens);
    if (training) {
      at::NoGradGuard const no_grad;
      mean.mul_(0.9).add_(h.mean({0, 1}) * 0.1);
      calls.add_(1);
    }
    h = at::dropout(at::linear(h - mean, mix) + shift + h, 0.2, training);
    return h.matmul(frozen);
  }
};
struct shapeless {
  at::Tensor w = at::zeros({4, 4}).requires_grad_(true);
  std::vector<std::pair<std::string, at::Tensor>> named_parameters() const { return {{"w", w}}; }
  at::Tensor forward(at::Tensor const& tokens) { return at::embedding(w, tokens % 4).mean(); }
};

inline constexpr auto of_letters = recipe(model::torch_module<letters>{.vocab = letters::vocab}, precision::fp32{}, horizon{10_steps},
                                          batch{.sequence = 12_tokens, .global = 4_samples, .micro = 2_samples},
                                          schedule::constant{.peak = 1e-2}, optimizer::adamw{.clip = 0.5});
inline constexpr auto of_shapeless = recipe(model::torch_module<shapeless>{.vocab = 300}, precision::fp32{}, horizon{10_steps},
                                            batch{.sequence = 12_tokens, .global = 4_samples, .micro = 2_samples});

data::micro_batch batch_of(std::uint64_t seed) {
  random_batch const r(4, 12, letters::vocab, seed);
  data::micro_batch b;
  b.samples = 4, b.sequence = 12, b.num_targets = r.count();
  b.tokens = r.tokens, b.targets = r.targets, b.positions = r.positions, b.document_start = r.document_start;
  b.next = {0, 0, std::int64_t(seed) * 4};
  return b;
}

/// The gradient of a parameter as the engine keeps it.
template <class Engine>
at::Tensor gradient_of(Engine const& engine, std::string const& name) {
  for (auto const& p : engine.places())
    if (p.name == name) return at::from_blob(engine.gradient() + p.offset, {p.rows * p.cols}, at::kFloat).clone();
  throw error("no parameter " + name);
}

/// Gradients of every kind: a sparse one, a transposed one, one that the last micro-batch alone uses, and one of no use.
struct irregular {
  static constexpr int vocab = letters::vocab, width = 8;
  at::Tensor table = at::randn({vocab, width}).requires_grad_(true), turned = at::randn({vocab, width}).requires_grad_(true);
  at::Tensor late = at::randn({width}).requires_grad_(true), idle = at::randn({width}).requires_grad_(true);
  int calls = 0;
  std::vector<std::pair<std::string, at::Tensor>> named_parameters() const { return {{"table", table}, {"turned", turned}, {"late", late}, {"idle", idle}}; }
  at::Tensor forward(at::Tensor const& tokens) {
    auto h = at::embedding(table, tokens, /*padding_idx*/ -1, /*scale_grad_by_freq*/ false, /*sparse*/ true);
    if (calls++ % 2 == 1) h = h * late;
    return h.matmul(turned.t().contiguous());
  }
};

}  // namespace

TEST("a module under autograd: stopped and resumed has the same bits, buffers and dropout included") {
  train::trainer<of_letters> straight(of_letters, 2, 10_steps);
  for (std::uint64_t s = 1; s <= 8; ++s) train::step(straight, batch_of(s));

  auto const run = std::filesystem::temp_directory_path() / ("tenon-module-" + std::to_string(::getpid()));
  {
    train::trainer<of_letters> first(of_letters, 2, 10_steps);
    for (std::uint64_t s = 1; s <= 3; ++s) train::step(first, batch_of(s));
    checkpoint::transaction<> to(run, 3);
    train::save_state(to, first);
    checkpoint::manifest m;
    m.step = 3;
    to.commit(m);
  }
  train::trainer<of_letters> second(of_letters, 2, 10_steps);
  train::load_state(run / "checkpoints" / checkpoint::step_name(3), second);
  for (std::uint64_t s = 4; s <= 8; ++s) train::step(second, batch_of(s));
  std::filesystem::remove_all(run);

  auto const bytes = std::size_t(straight.engine().size()) * sizeof(float);
  EXPECT(std::memcmp(straight.engine().master(), second.engine().master(), bytes) == 0);
  for (int m = 0; m < 2; ++m)
    EXPECT(std::memcmp(straight.optimizer_state().moments[std::size_t(m)].as<float>(), second.optimizer_state().moments[std::size_t(m)].as<float>(), bytes) == 0);
  auto const &a = straight.engine().module(), &b = second.engine().module();
  EXPECT(a.calls.item<std::int64_t>() == 16);  // two micro-batches a step
  EXPECT(b.calls.item<std::int64_t>() == 16);
  EXPECT(a.mean.equal(b.mean));
  EXPECT(a.mean.abs().sum().item<double>() > 0);
}

TEST("a frozen parameter of a module does not move, its neighbours do") {
  train::trainer<of_letters> t(of_letters, 2, 10_steps);
  auto const before = t.engine().module().frozen.clone(), mix = t.engine().module().mix.detach().clone();
  for (std::uint64_t s = 1; s <= 3; ++s) train::step(t, batch_of(s));
  EXPECT(t.engine().module().frozen.equal(before));
  EXPECT(!t.engine().module().mix.equal(mix));
}

TEST("gradients of a module accumulate over micro-batches with one division") {
  train::trainer<of_letters> t(of_letters, 1, 10_steps);
  t.engine().module().train(false);  // no dropout, no running mean: comparable with one pass
  auto& m = t.engine().module();
  auto const b = batch_of(5);
  auto region = [&](int member) {
    auto x = t.engine().on(t.team(), member);
    t.engine().clear_loss(x);
    float const seed = 1.f / float(b.num_targets);
    t.engine().forward_backward(x, train::rows_of(b, 0, 2), seed, true);
    t.engine().forward_backward(x, train::rows_of(b, 2, 2), seed, false);
  };
  t.team().run(region);
  auto const have = gradient_of(t.engine(), "mix").view({letters::width, letters::width});
  auto const ids = [&](std::vector<std::int32_t> const& v) { return at::tensor(std::vector<std::int64_t>(v.begin(), v.end())); };
  auto const p = m.mix.detach().clone().requires_grad_(true);
  letters whole = m;
  whole.mix = p;
  auto const loss = at::cross_entropy_loss(whole.forward(ids(b.tokens).view({4, 12})).reshape({-1, letters::vocab}), ids(b.targets), {}, 1, -1);
  loss.backward();
  EXPECT((have - p.grad()).norm().item<double>() <= 1e-6 * p.grad().norm().item<double>());
  EXPECT_NEAR(t.engine().loss_sum() / double(b.num_targets), loss.item<double>(), 1e-5);
}

TEST("a module's gradients of every kind are in the flat buffer as autograd computes them, in each step anew") {
  train::autograd_engine<irregular> const engine(3, irregular::vocab, 2);
  exec::cpu::team team(1);
  irregular whole = engine.module();
  for (auto* p : {&whole.table, &whole.turned, &whole.late, &whole.idle}) *p = p->detach().clone().requires_grad_(true);
  for (std::uint64_t s = 1; s <= 2; ++s) {
    auto const b = batch_of(s);
    auto region = [&](int member) {
      auto x = engine.on(team, member);
      engine.forward_backward(x, train::rows_of(b, 0, 2), 0.25f, true);
      engine.forward_backward(x, train::rows_of(b, 2, 2), 0.25f, false);
    };
    team.run(region);
    for (auto* p : {&whole.table, &whole.turned, &whole.late}) p->mutable_grad().reset();
    for (int half = 0; half < 2; ++half) {
      auto const ids = [&](std::vector<std::int32_t> const& v) { return at::tensor(std::vector<std::int64_t>(v.begin(), v.end())).view({4, 12}).slice(0, 2 * half, 2 * half + 2); };
      auto const logits = whole.forward(ids(b.tokens)).reshape({-1, irregular::vocab});
      (at::cross_entropy_loss(logits, ids(b.targets).reshape({-1}), {}, 2, -1) * 0.25).backward();
    }
    auto const same = [&](char const* name, at::Tensor const& want) {
      auto const have = gradient_of(engine, name), wanted = (want.is_sparse() ? want.to_dense() : want).reshape({-1});
      EXPECT((have - wanted).norm().item<double>() <= 1e-6 * wanted.norm().item<double>());
      EXPECT(wanted.norm().item<double>() > 0);
    };
    same("table", whole.table.grad()), same("turned", whole.turned.grad()), same("late", whole.late.grad());
    EXPECT(gradient_of(engine, "idle").norm().item<double>() == 0);
    EXPECT(!engine.module().table.grad().defined());
  }
}

TEST("a module that returns something else than logits is told so") {
  train::trainer<of_shapeless> t(of_shapeless, 2, 10_steps);
  EXPECT_THROWS_WITH(train::step(t, batch_of(1)), "must return logits [samples, sequence, 300]");
}
