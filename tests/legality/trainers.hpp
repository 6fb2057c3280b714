#pragma once
#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "support/policies.hpp"
#include "support/test.hpp"
#include "tenon/parallel.hpp"
#include "tenon/train/torch_module.hpp"
#include "train/tiny.hpp"

/// The user's module of the choice model::torch_module.
struct shipped::module_of_someone {
  at::Tensor table = (at::randn({272, 16}) * 0.3).requires_grad_(true);
  at::Tensor head = (at::randn({272, 16}) * 0.3).requires_grad_(true);
  std::vector<std::pair<std::string, at::Tensor>> named_parameters() const {
    return {{"table", table}, {"head", head}};
  }
  at::Tensor forward(at::Tensor const& tokens) { return at::linear(at::embedding(table, tokens), head); }
};

/// Trainers of the combinations that the covering set names: each is built, trains, and resumes exactly.
namespace legality {

namespace tn = tenon;

/// The recipe of one choice for each axis.
template <std::size_t... Choice>
constexpr auto recipe_of() {
  namespace a = tn::axis;
  return []<class... Axes>(Axes... axis) {
    return tn::recipe(tn::hetero::at<Choice>(shipped::choices(axis)).policy...);
  }(a::model{}, a::target{}, a::precision{}, a::objective{}, a::horizon{}, a::batch{}, a::data{}, a::curriculum{},
         a::optimizer{}, a::schedule{}, a::trainable{}, a::memory{}, a::parallel{}, a::checkpoint{}, a::observe{},
         a::seed{});
}

/// A trainer of one member; on ranks, the only one of them.
template <auto const& R>
struct alone {
  std::optional<tn::parallel::group> group;
  tn::trainer<R> trainer;
  alone() : trainer(make()) {}

 private:
  tn::trainer<R> make() {
    constexpr tn::steps total = tn::total_steps(R.horizon, R.batch);
    if constexpr (tn::trainer<R>::on_ranks)
      return {R, 1, total, group.emplace(tn::parallel::place{}, std::chrono::seconds(60))};
    else
      return {R, 1, total};
  }
};

/// What a combination of policies did.
struct outcome {
  std::string name;
  double first_loss = 0;
};

/// Three steps, saved after the second; a new trainer that loads it and takes the third ends with the same bytes.
template <auto const& R>
outcome train_and_resume() {
  std::string name;
  tn::for_each_axis(R, [&](auto, auto const& policy) { name += " " + std::string(policy.kind); });
  DOCTEST_INFO("trainer of" << name);
  tiny::directory const run;
  alone<R> first, second;
  auto& straight = first.trainer;
  auto const reports = tiny::run(straight, 2);
  for (auto const& r : reports) EXPECT((std::isfinite(r.loss) && r.loss > 0));
  auto const checkpoint = tiny::saved(run.path, straight);
  tiny::run(straight, 1);
  auto& resumed = second.trainer;
  tn::train::load_state(checkpoint, resumed);
  tiny::run(resumed, 1);
  auto const expected = tiny::state_of(straight), got = tiny::state_of(resumed);
  EXPECT(!expected.empty());
  EXPECT(expected == got);
  return {name, reports[0].loss};
}

}  // namespace legality
