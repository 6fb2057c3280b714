#pragma once
#include <memory>
#include <thread>

#include "tenon/parallel/gpu_exchange.hpp"
#include "tenon/parallel/gpu_lookout.hpp"
#include "tenon/parallel/ranks.hpp"

namespace tenon::parallel {

template <class Engine>
requires(Engine::on_device) inline constexpr bool gpus_connected<Engine> = true;

/// What a trainer on a GPU holds of the ranks. Before a step the hosts agree over their group, as on the CPU; gradients and
/// losses are added over the GPUs inside the step, by NCCL. Norm, overflow and clipping are worked out of the sums, which
/// are the same on all ranks, so these need no exchange of their own; `begin` compares the norms afterwards.
template <class Engine>
class gpu_ranks : public agreement {
 public:
  using model = typename Engine::model;
  using device_type = typename Engine::device_type;

  /// Takes the reference of a group that outlives the trainer. Connects the GPUs of all ranks.
  gpu_ranks(group& g, Engine& engine, replicas const& numbers, int)
      : agreement(g),
        device_(&engine.device()),
        lookout_(g.size() > 1 ? std::make_unique<gpu_lookout<device_type>>(g, *device_, std::chrono::seconds(numbers.patience.count)) : nullptr),
        connection_(connect()),
        exchange_(connection_.get(), device_->stream(), device_->gradient(),
                  make_buckets(readiness<model>::places(), numbers.bucket.count, sizeof(float))) {
    times_.bytes = exchange_.wire_bytes(), times_.buckets = int(exchange_.buckets().size());
  }
  /// With steps on their way a rank was lost, or something failed: nobody waits for the GPU then.
  ~gpu_ranks() {
    if (device_->in_flight() > 0 && connection_) {
      exec::cuda::abandoned = true;
      std::thread([c = connection_] { c->abort(); }).detach();
    }
    if (!exec::cuda::abandoned) device_->allow_graphs(false);  // a graph goes before the connection that it was captured with
  }

  exchange_times const& times() const { return times_; }

  /// Puts a step on the GPU's way: as device::step, with this rank's number of targets.
  void step(nn::micro_batch const& rows, double rate, std::int64_t targets) {
    auto const all = agreement::begin({targets, device_->documents(rows)}, norm_, times_.steps);
    if (lookout_) lookout_->begun();
    try {
      device_->step(rows, rate, all.targets, exchange_, int(all.documents));
    } catch (exec::cuda::connection_error const& e) {
      lookout_->check();
      company().give_up(first_line(e.what()), "the reduction of the gradient");
    }
    if (lookout_) lookout_->check();
  }
  /// Waits for the oldest step on its way. Throws departure where a rank is lost.
  exec::cuda::step_numbers report() {
    while (!device_->has_report()) {
      if (lookout_) lookout_->check();
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    if (lookout_) lookout_->check(), lookout_->ended();
    auto const r = device_->report();
    norm_ = r.norm, ++times_.steps;
    return r;
  }

 private:
  std::shared_ptr<exec::cuda::communicator> connect() {
    if (company().size() == 1) return nullptr;
    exec::cuda::communicator_id id{};
    if (company().leads()) id = exec::cuda::make_communicator_id();
    company().broadcast(&id, sizeof id, "the connection of the GPUs");
    auto c = std::make_shared<exec::cuda::communicator>(id, company().rank(), company().size());
    lookout_->check();
    lookout_->connected(c);
    return c;
  }

  device_type* device_;
  std::unique_ptr<gpu_lookout<device_type>> lookout_;
  std::shared_ptr<exec::cuda::communicator> connection_;
  gpu_exchange<model> exchange_;
  exchange_times times_;
  double norm_ = 0;
};

}  // namespace tenon::parallel
