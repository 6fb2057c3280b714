#pragma once
#include <cmath>
#include <string>

#include "tenon/core/error.hpp"
#include "tenon/optim/norm.hpp"
#include "tenon/train/rows.hpp"
#include "tenon/train/step_report.hpp"
#include "tenon/train/trainer.hpp"

namespace tenon::train {

/// One optimizer step of a team, whole. The team enters one parallel region; inside it every member runs these lines.
template <class Trainer>
step_report team_step(Trainer& t, data::micro_batch const& batch) {
  auto const& r = t.recipe();
  auto const& engine = t.engine();
  auto& state = t.optimizer_state();
  constexpr bool on_ranks = Trainer::on_ranks;
  step_report report{.count = batch.num_targets, .learning_rate = t.learning_rate()};
  if constexpr (on_ranks) report.count = t.ranks().begin(batch.num_targets);
  float const seed =
      float(t.loss_scale() / double(report.count > 0 ? report.count : 1));  // one division, before any backward pass

  auto const sequence_seed = float(t.loss_scale() / double(r.batch.global.count));  // of losses of whole sequences

  auto region = [&](int member) {
    auto x = engine.on(t.team(), member);
    engine.clear_loss(x);
    for (std::int64_t first = 0; first < batch.samples; first += t.micro_samples()) {
      auto const rows = rows_of(batch, first, t.micro_samples(), sequence_seed);
      if constexpr (on_ranks)
        t.ranks().forward_backward(engine, x, rows, seed, first == 0, first + t.micro_samples() == batch.samples);
      else
        engine.forward_backward(x, rows, seed, first == 0);
    }
    x.barrier();
    if constexpr (on_ranks) {
      if (member == 0) t.ranks().finish(engine);
      x.barrier();
      if (t.ranks().failed()) return;
    }

    auto const chunks = optim::num_chunks(engine.size());
    x.tasks(chunks, [&](std::int64_t c) {
      double squares = 0;
      t.with_gradient().each(c, [&](std::int64_t first, std::int64_t last, bool) {
        squares += optim::sum_of_squares(engine.gradient() + first, last - first);
      });
      t.squares(c) = squares;
    });
    x.barrier();
    double const norm = t.norm();  // every member computes the same number
    if (member == 0) report.gradient_norm = norm;
    if (!std::isfinite(norm)) return;

    auto const factor = float(optim::clip_factor(norm, r.optimizer.clip) / t.loss_scale());
    auto const constants = Trainer::optimizer::prepare(r.optimizer, report.learning_rate, state.updates + 1, factor);
    x.tasks(chunks, [&](std::int64_t c) {
      t.regions().each(c, [&](std::int64_t first, std::int64_t last, bool decays) {
        Trainer::optimizer::update(constants, state, engine.master(), engine.gradient(), engine.copy(), first, last,
                                   decays);
      });
    });
    if constexpr (requires { engine.end_of_step(x); }) engine.end_of_step(x);
  };
  t.run_step(region);

  if constexpr (on_ranks) {
    auto const all = t.ranks().settle(report.gradient_norm);
    report.total = {all.loss, report.count};
    report.balance = all.balance / double(r.batch.global.count);
    report.further = all.further / double(report.count > 0 ? report.count : 1);
  } else {
    report.total = {engine.loss_sum(), report.count};
    if constexpr (requires { engine.balance_sum(); })
      report.balance = engine.balance_sum() / double(r.batch.global.count);
    if constexpr (requires { engine.further_sum(); })
      report.further = engine.further_sum() / double(report.count > 0 ? report.count : 1);
  }
  if constexpr (requires { engine.expert_load(); }) report.expert_load = engine.expert_load();
  report.loss = mean_loss(report.total);
  report.skipped = !std::isfinite(report.gradient_norm);
  bool lost = report.skipped;
  if constexpr (Trainer::scales_loss) {
    t.scaler().update(report.skipped, r.precision.growth, r.precision.backoff, r.precision.growth_interval);
    lost = report.skipped &&
           t.loss_scale() < 0x1p-24;  // no gradient overflows at such a scale: it is the numbers themselves
  }
  if (lost)
    throw error("the gradient of step " + std::to_string(t.progress().step + 1) + " is not finite (loss " +
                std::to_string(report.loss) +
                "); no weight was changed. Lower schedule.peak, lengthen the warmup, or resume from the last "
                "checkpoint with other data");
  state.updates += report.skipped ? 0 : 1;
  t.advance(batch, report);
  return report;
}

/// Of a recipe that breaks a rule: the compiler has said which.
template <auto const& R>
requires(trainer<R>::refused) step_report step(trainer<R>&, data::micro_batch const&) {
  return {};
}

/// One optimizer step, whole, where the trainer is.
template <class Trainer>
step_report step(Trainer& t, data::micro_batch const& batch) {
  if constexpr (on_a_device<Trainer>) {
    start_step(t, batch);
    return finish_step(t, batch);
  } else {
    return team_step(t, batch);
  }
}

}  // namespace tenon::train
