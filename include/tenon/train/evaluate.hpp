#pragma once
#include <algorithm>

#include "tenon/data/baseline.hpp"
#include "tenon/data/evaluation.hpp"
#include "tenon/train/rows.hpp"
#include "tenon/train/step.hpp"

namespace tenon::train {

/// Sum over the held-out rows of -log p(target), in nats, with the training layers run forward only. `room` is reused
/// memory of [micro][sequence] rows. `stop(n)` is asked between micro-batches, after n samples; true ends early with a negative result. On
/// several ranks each takes its turn of the micro-batches, and all get the same result.
template <class Trainer, class Stop>
double held_out_nats(Trainer& t, data::held_out_set& held, data::micro_batch& room, Stop&& stop) {
  auto const micro = t.micro_samples();
  std::int64_t begin = 0, stride = micro;
  if constexpr (Trainer::on_ranks)
    begin = micro * t.ranks().company().rank(), stride = micro * t.ranks().company().size();
  double total = 0;
  bool stopped = false;
  t.team().limit(t.team().threads());
  for (std::int64_t first = begin; first < held.samples() && !stopped; first += stride) {
    if ((stopped = stop(first))) break;
    room.samples = std::min(micro, held.samples() - first), room.sequence = held.sequence();
    for (auto* v : {&room.tokens, &room.targets, &room.positions, &room.document_start})
      v->resize(std::size_t(micro * room.sequence));
    held.fill(first, room.samples, room.tokens.data(), room.targets.data(), room.positions.data(),
              room.document_start.data());
    if constexpr (on_a_device<Trainer>) {
      total += t.engine().device().evaluate(rows_of(room, 0, room.samples));
    } else {
      auto region = [&](int member) {
        auto x = t.engine().on(t.team(), member);
        t.engine().clear_loss(x);
        t.engine().evaluate(x, rows_of(room, 0, room.samples));
      };
      t.team().run(region);
      total += t.engine().loss_sum();
    }
  }
  if constexpr (Trainer::on_ranks) return t.ranks().sum_of_all(total, stopped);
  return stopped ? -1 : total;
}

/// Unigram and interpolated trigram, fitted on exactly the rows that training has consumed. After a resume the counts
/// are made again from the data's order, which is a function of the cursor; nothing of them is in the checkpoint.
class consumed_baseline {
 public:
  explicit consumed_baseline(std::int64_t vocab) : counts_(vocab) {}

  /// Adds a batch that training has just consumed.
  void consume(data::micro_batch const& b) {
    counts_.consume(b.tokens.data(), b.targets.data(), b.document_start.data(), b.samples, b.sequence);
  }
  /// Adds samples [0, `samples`) of `source`: what an earlier start of this run has consumed.
  template <class Loader>
  void replay(Loader source, std::int64_t samples) {
    consume_from(source, {}, samples);
  }
  /// Adds `samples` samples of `source` from `at` on.
  template <class Loader>
  void consume_from(Loader& source, data::cursor at, std::int64_t samples) {
    data::micro_batch b;
    b.sequence = source.sequence();
    for (std::int64_t done = 0; done < samples; done += b.samples) {
      b.samples = std::min<std::int64_t>(256, samples - done);
      for (auto* v : {&b.tokens, &b.targets, &b.positions, &b.document_start})
        v->resize(std::size_t(b.samples * b.sequence));
      source.fill(at, b.samples, b.tokens.data(), b.targets.data(), b.positions.data(), b.document_start.data());
      consume(b);
      at = source.advance(at, b.samples);
    }
  }
  /// Bits that both need for the held-out rows.
  data::baseline_bits held_out_bits(data::held_out_set& held, data::micro_batch& room) const {
    data::baseline_bits total;
    room.sequence = held.sequence();
    for (std::int64_t first = 0; first < held.samples(); first += room.samples) {
      room.samples = std::min<std::int64_t>(64, held.samples() - first);
      for (auto* v : {&room.tokens, &room.targets, &room.positions, &room.document_start})
        v->resize(std::size_t(room.samples * room.sequence));
      held.fill(first, room.samples, room.tokens.data(), room.targets.data(), room.positions.data(),
                room.document_start.data());
      auto const b = counts_.bits(room.tokens.data(), room.targets.data(), room.document_start.data(), room.samples,
                                  room.sequence);
      total.unigram += b.unigram, total.trigram += b.trigram;
    }
    return total;
  }

 private:
  data::ngram_baseline counts_;
};

}  // namespace tenon::train
