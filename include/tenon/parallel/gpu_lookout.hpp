#pragma once
#include <cstdio>
#include <memory>

#include "tenon/exec/cuda/communicator.hpp"
#include "tenon/parallel/group.hpp"

namespace tenon::parallel {

/// Looks after the other ranks while this one's GPU works on steps that need them. What hangs there hangs whoever waits for
/// it, so a thread of its own looks: at a step that takes long it asks the group who is missing, tells NCCL to give up, and
/// lets the run leave with the group's sentence. `Device`: exec::cuda::device.
template <class Device>
class gpu_lookout {
 public:
  using clock = watch::clock;

  gpu_lookout(group& g, Device const& d, std::chrono::seconds patience)
      : group_(&g), device_(&d), patience_(patience), seen_(clock::now()), thread_([this] { work(); }) {}
  gpu_lookout(gpu_lookout const&) = delete;
  gpu_lookout& operator=(gpu_lookout const&) = delete;
  ~gpu_lookout() {
    {
      std::lock_guard const lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  /// The GPUs are connected.
  void connected(std::shared_ptr<exec::cuda::communicator> c) {
    std::lock_guard const lock(mutex_);
    connection_ = std::move(c);
  }
  /// A step goes to the GPU; the oldest one is back.
  void begun() { begun_.fetch_add(1); }
  void ended() {
    count(ended_.load() + 1);
    ended_.fetch_add(1);
  }
  /// Throws departure where a rank was lost.
  void check() {
    if (!found_.load(std::memory_order_acquire)) return;
    verdict v;
    {
      std::lock_guard const lock(mutex_);
      taken_ = true, v = *verdict_;
    }
    changed_.notify_all();
    group_->leave(v);
  }

 private:
  /// This rank's passes of a step are done: it has come further, once a step, so that all ranks count alike.
  void count(std::int64_t step) {
    auto before = step - 1;
    if (counted_.compare_exchange_strong(before, step)) group_->came_further();
  }
  void work() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      changed_.wait_for(lock, std::chrono::milliseconds(100), [&] { return stop_; });
      if (stop_) return;
      auto const v = look(lock);
      if (!v) continue;
      leave(lock, *v);
      return;
    }
  }
  /// Who is missing, if that is known.
  std::optional<verdict> look(std::unique_lock<std::mutex>& lock) {
    auto const now = clock::now();
    auto const connection = connection_;
    auto const step = connection ? ended_.load() + 1 : 0;  // 0: the GPUs are being connected
    if (connection && begun_.load() < step) return std::nullopt;
    if (step != step_) step_ = step, seen_ = now, waits_ = step == 0;
    // Until its own passes are done it is this rank for which others wait.
    if (!waits_ && device_->passed() >= step) waits_ = true, seen_ = now, count(step);
    if (now - seen_ < std::chrono::milliseconds(500)) return std::nullopt;
    auto const since = waits_ ? seen_ : now;
    std::string const what = step == 0 ? "the connection of the GPUs" : "the reduction of the gradient";
    lock.unlock();
    auto v = group_->examine(since, what, connection ? connection->trouble() : "");
    lock.lock();
    if (!v && now - since > 2 * patience_)
      v = verdict{watch::rank_lost, what + " has not ended for " + std::to_string(2 * patience_.count()) +
                                        " s, and all ranks give signs of life; a GPU or what connects them hangs "
                                        "(nvidia-smi, NCCL_DEBUG=INFO)"};
    return v;
  }
  void leave(std::unique_lock<std::mutex>& lock, verdict const& v) {
    lock.unlock();
    auto const said = group_->say(v);
    lock.lock();
    verdict_ = said;
    exec::cuda::abandoned = true;
    found_.store(true, std::memory_order_release);
    if (connection_) std::thread([c = connection_] { c->abort(); }).detach();  // may hang itself
    // What waits for the GPU comes back now. If it does not, the sentence is said here.
    if (changed_.wait_for(lock, std::chrono::seconds(5), [&] { return stop_ || taken_; })) return;
    std::fflush(stdout);
    std::fprintf(stderr, "\nerror: %s\n", said.sentence.c_str());
    ::_exit(said.code);
  }

  group* group_;
  Device const* device_;
  std::chrono::seconds patience_;
  std::atomic<std::int64_t> begun_{0}, ended_{0}, counted_{0};
  std::atomic<bool> found_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<exec::cuda::communicator> connection_;
  bool stop_ = false, taken_ = false;
  std::int64_t step_ = 0;     ///< that the lookout saw last
  clock::time_point seen_;    ///< since when; from the end of its passes on, since then
  bool waits_ = true;         ///< whether this rank is done with it and waits for others
  std::optional<verdict> verdict_;
  std::thread thread_;
};

}  // namespace tenon::parallel
