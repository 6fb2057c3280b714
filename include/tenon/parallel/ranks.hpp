#pragma once
#include <chrono>
#include <exception>
#include <type_traits>

#include "tenon/exec/store.hpp"
#include "tenon/models/of_recipe.hpp"
#include "tenon/parallel/agreement.hpp"
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
class ranks : public agreement {
 public:
  using model = typename Engine::model;

  /// Takes the reference of a group that outlives the trainer.
  ranks(group& g, Engine const& engine, replicas const& numbers, int members)
      : agreement(g),
        reducer_(g, engine.gradient(),
                 make_buckets(readiness<model>::places(), numbers.bucket.count, sizeof(Wire)), members) {
    times_.bytes = reducer_.wire_bytes(), times_.buckets = int(reducer_.buckets().size());
  }

  exchange_times const& times() const { return times_; }

  /// The targets of the step over all ranks, before the first pass; see agreement::begin.
  std::int64_t begin(std::int64_t targets) {
    auto const all = agreement::begin({targets, 0}, norm_, times_.steps);
    reducer_.open();
    return all.targets;
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
      for (auto const& one : company().gather(sums{engine.loss_sum(), engine.balance_sum(), engine.further_sum()},
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
  reducer<Wire> reducer_;
  exchange_times times_;
  double norm_ = 0;
  sums sums_;
  std::exception_ptr failure_;
};

/// Of an engine on a GPU: gpu_ranks.hpp, which <tenon/cuda.hpp> and <tenon/parallel.hpp> together include.
template <class Engine>
class gpu_ranks;

template <class Engine, dtype Wire>
struct ranks_on {
  using type = ranks<Engine, models::storage<Wire>>;
};
template <class Engine, dtype Wire>
requires(Engine::on_device) struct ranks_on<Engine, Wire> {
  static_assert(gpus_connected<Engine>,
                "[tenon.nccl_included] the recipe spreads over several GPUs, and this program was built without NCCL, which "
                "connects them. Install it (libnccl-dev, or pip install nvidia-nccl-cu13, and TENON_NCCL to its folder), "
                "link tenon::nccl, and include <tenon/cuda.hpp> beside <tenon/parallel.hpp>; or write parallel::single{}");
  static_assert(Wire == dtype::fp32, "gradients on GPUs are added in fp32");
  using type = std::conditional_t<gpus_connected<Engine>, gpu_ranks<Engine>, alone>;
};

template <class Engine, dtype Wire>
struct ranks_of<ddp, Engine, Wire> : ranks_on<Engine, Wire> {};
template <class Engine, dtype Wire>
struct ranks_of<mesh<replicate>, Engine, Wire> : ranks_on<Engine, Wire> {};

}  // namespace tenon::parallel
