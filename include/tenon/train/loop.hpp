#pragma once
#include "tenon/data/prefetcher.hpp"
#include "tenon/train/step.hpp"

namespace tenon::train {

/// Why a loop ended.
enum class outcome { finished, interrupted };

/// Of a trainer on a GPU, in train/device_step.hpp: true where it was interrupted.
template <class Trainer, class Batches, class Host>
bool device_loop(Trainer& t, Batches& batches, Host& host);

/// The whole training loop of a team. `batches`, a data::prefetcher, hands out the rows of each step in the data's order; `host`
/// is told what happened and decides when to look (`report`, `evaluate`), when to keep (`save`) and when to stop
/// (`interrupted`).
///
/// The step itself is train::step; nothing else here touches a tensor.
template <class Trainer, class Batches, class Host>
outcome team_loop(Trainer& t, Batches& batches, Host& host) {
  data::micro_batch batch;
  host.begin(t);
  while (t.progress().step < t.total().count) {
    batches.take(batch);
    if constexpr (Trainer::on_ranks) t.ranks().ask_to_stop(host.interrupted());
    step_report const report = step(t, batch);
    host.report(t, batch, report);

    bool const last = t.progress().step == t.total().count, stop = stops(t, host);
    if (stop || last || host.save_due(t)) host.save(t);  // first what must not be lost
    if (stop && !last) return outcome::interrupted;
    if (last || host.evaluate_due(t)) host.evaluate(t);
  }
  bool interrupted = host.interrupted();
  if constexpr (Trainer::on_ranks) interrupted = t.ranks().company().any(interrupted);
  return interrupted ? outcome::interrupted : outcome::finished;
}

/// The whole training loop, where the trainer is.
template <class Trainer, class Batches, class Host>
outcome loop(Trainer& t, Batches& batches, Host& host) {
  if constexpr (on_a_device<Trainer>)
    return device_loop(t, batches, host) ? outcome::interrupted : outcome::finished;
  else
    return team_loop(t, batches, host);
}

}  // namespace tenon::train
