#pragma once
#include <bit>
#include <chrono>
#include <exception>
#include <type_traits>

#include "tenon/exec/store.hpp"
#include "tenon/models/of_recipe.hpp"
#include "tenon/parallel/announcing_store.hpp"
#include "tenon/parallel/door.hpp"
#include "tenon/parallel/reducer.hpp"

namespace tenon::parallel {

/// What the exchange of gradients cost, over all steps of this start.
struct exchange_times {
  std::int64_t steps = 0;
  std::int64_t bytes = 0;    ///< of the gradient on the wire, a step
  int buckets = 0;           ///< of a step
  double in_flight = 0;      ///< seconds in which at least one bucket was on its way
  double waited = 0;         ///< seconds of them that the steps waited after the backward pass
  /// Share of the exchange that the backward pass hid; 0 before the first step.
  double hidden() const { return in_flight <= 0 ? 0 : std::max(0.0, 1 - waited / in_flight); }
};

/// What a trainer holds of the ranks: the exchanges of its step, in their order.
///   begin             targets are counted over all ranks; whether somebody wants to stop; whether weights still agree
///   forward_backward  in the last micro-batch, buckets of gradients leave as they become ready
///   finish            the last of them has come back; losses are added
template <class Engine, class Wire>
class ranks {
 public:
  using model = typename Engine::model;

  /// Takes the reference of a group that outlives the trainer.
  ranks(group& g, Engine const& engine, replicas const& numbers, int members)
      : group_(&g),
        reducer_(g, engine.gradient(),
                 make_buckets(readiness<model>::places(), numbers.bucket.count, sizeof(Wire)), members) {
    times_.bytes = reducer_.wire_bytes(), times_.buckets = int(reducer_.buckets().size());
  }

  parallel::group& company() const { return *group_; }
  exchange_times const& times() const { return times_; }

  /// This rank has been asked to stop (a signal): all will, after the step that begins next.
  void ask_to_stop(bool asked) { asked_ = asked; }
  /// `mine` added over the ranks, in their order; -1 on all where one of them was stopped on the way.
  double sum_of_all(double mine, bool stopped) {
    struct part {
      double sum;
      std::int64_t stopped;
    };
    double sum = 0;
    for (auto const& p : group_->gather(part{mine, stopped ? 1 : 0}, "the end of the evaluation")) {
      if (p.stopped != 0) return -1;
      sum += p.sum;
    }
    return sum;
  }
  /// Whether any rank was asked to stop before this step began; the same on all.
  bool stops() const { return stops_; }

  /// The targets of the step over all ranks, before the first pass. Throws departure where a rank is lost, and where the
  /// ranks do not have the same gradient norm of the last step: then their weights have come apart.
  std::int64_t begin(std::int64_t targets) {
    struct note {
      std::int64_t targets, stop;
      std::uint64_t norm;
    };
    auto const all = group_->gather(note{targets, asked_ ? 1 : 0, std::bit_cast<std::uint64_t>(norm_)}, "the beginning of the step");
    std::int64_t sum = 0;
    stops_ = false;
    for (std::size_t r = 0; r < all.size(); ++r) {
      sum += all[r].targets, stops_ = stops_ || all[r].stop != 0;
      if (all[r].norm != all[0].norm)
        throw departure(group_->announce(
            {1, "rank " + std::to_string(r) + " on " + group_->host_of(int(r)) +
                    " does not have the same gradient as rank 0; its memory or its network is not in order. Go on from the "
                    "last checkpoint, without that machine"}));
    }
    reducer_.open();
    return sum;
  }
  /// As the engine's; every member calls it.
  template <class X>
  void forward_backward(Engine const& engine, X& x, nn::micro_batch const& b, float seed, bool first, bool last) {
    engine.forward_backward(x, b, seed, first, [&](auto const& store) {
      return announcing_store<model, std::remove_cvref_t<decltype(store)>, reducer<Wire>>(store, last ? &reducer_ : nullptr);
    });
  }
  /// Sums over the ranks of what their steps' losses came to.
  struct sums {
    double loss = 0, balance = 0, further = 0;
  };
  /// By member 0, after the last pass and a barrier. A failure is kept for `settle`: an exception could not leave here.
  void finish(Engine const& engine) noexcept {
    try {
      auto const begun = std::chrono::steady_clock::now();
      reducer_.finish();
      times_.waited += std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
      times_.in_flight += reducer_.in_flight();
      ++times_.steps;
      sums_ = {};
      for (auto const& one : group_->gather(sums{engine.loss_sum(), engine.balance_sum(), engine.further_sum()},
                                           "the end of the step"))
        sums_.loss += one.loss, sums_.balance += one.balance, sums_.further += one.further;
    } catch (...) {
      failure_ = std::current_exception();
    }
  }
  bool failed() const { return failure_ != nullptr; }
  /// Throws what `finish` met; else returns the sums. `norm`: of the step's gradient.
  sums settle(double norm) {
    if (failure_) std::rethrow_exception(failure_);
    norm_ = norm;
    return sums_;
  }

 private:
  parallel::group* group_;
  reducer<Wire> reducer_;
  exchange_times times_;
  bool asked_ = false, stops_ = false;
  double norm_ = 0;
  sums sums_;
  std::exception_ptr failure_;
};

template <class Engine, dtype Wire>
struct ranks_of<ddp, Engine, Wire> {
  using type = ranks<Engine, models::storage<Wire>>;
};
template <class Engine, dtype Wire>
struct ranks_of<mesh<replicate>, Engine, Wire> {
  using type = ranks<Engine, models::storage<Wire>>;
};

}  // namespace tenon::parallel
