#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "tenon/core/error.hpp"
#include "tenon/train/rows.hpp"
#include "tenon/train/step_report.hpp"

namespace tenon::train {

/// Puts a step on the device's way: nobody waits. Its report is taken by `finish_step`, in the order of the steps.
template <class Trainer>
void start_step(Trainer& t, data::micro_batch const& batch) {
  auto& device = t.engine().device();
  auto const rows = rows_of(batch, 0, batch.samples);
  double const rate = t.learning_rate_after(device.in_flight());
  if constexpr (has_company<Trainer>)
    t.ranks().step(rows, rate, batch.num_targets);
  else
    device.step(rows, rate, batch.num_targets);
}

/// Waits for the oldest step that is on its way, and takes what it found out into the trainer's state.
template <class Trainer>
step_report finish_step(Trainer& t, data::micro_batch const& batch) {
  auto const n = [&] {
    if constexpr (has_company<Trainer>)
      return t.ranks().report();
    else
      return t.engine().device().report();
  }();
  step_report report{.count = n.count, .learning_rate = t.learning_rate()};
  report.total = {n.loss, report.count};
  report.loss = mean_loss(report.total);
  report.gradient_norm = n.norm, report.skipped = n.applied == 0;
  t.engine().keep(n);
  // No gradient overflows at such a scale: it is the numbers themselves.
  if (report.skipped && (!Trainer::scales_loss || n.scale < 0x1p-24))
    throw error("the gradient of step " + std::to_string(t.progress().step + 1) + " is not finite (loss " +
                std::to_string(report.loss) +
                "); no weight was changed. Lower schedule.peak, lengthen the warmup, or resume from the last "
                "checkpoint with other data");
  t.advance(batch, report);
  return report;
}

/// The loop of a trainer on a GPU: while a step runs, the report of the one before is written and the next is sent. Before
/// the host looks at weights (a checkpoint, an evaluation, the end), it has all reports.
template <class Trainer, class Batches, class Host>
bool device_loop(Trainer& t, Batches& batches, Host& host) {  // whether it was interrupted
  std::array<data::micro_batch, 2> room;
  std::int64_t started = t.progress().step;
  auto& device = t.engine().device();
  auto const finish = [&] {
    auto const& batch = room[std::size_t((started - device.in_flight()) % 2)];
    step_report const report = finish_step(t, batch);
    host.report(t, batch, report);
  };
  host.begin(t);
  while (started < t.total().count) {
    if (device.in_flight() == 2 || (Trainer::schedule_follows && device.in_flight() > 0)) finish();
    auto& batch = room[std::size_t(started % 2)];
    batches.take(batch);
    if constexpr (has_company<Trainer>) t.ranks().ask_to_stop(host.interrupted());
    start_step(t, batch);
    ++started;
    bool const last = started == t.total().count, stop = stops(t, host);
    bool const save = stop || last || host.save_due(t, started), look = last || host.evaluate_due(t, started);
    if (!save && !look) continue;
    while (device.in_flight() > 0) finish();
    if (save) host.save(t);  // first what must not be lost
    if (stop && !last) return true;
    if (look) host.evaluate(t);
  }
  bool interrupted = host.interrupted();
  if constexpr (has_company<Trainer>) interrupted = t.ranks().company().any(interrupted);
  return interrupted;
}

}  // namespace tenon::train
