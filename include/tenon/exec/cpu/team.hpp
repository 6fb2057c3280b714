#pragma once
#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tenon/exec/cpu/gemm.hpp"

namespace tenon::exec::cpu {

/// Threads of ours that run one function together (single program, multiple data). The caller is member 0.
/// They stay alive between regions: they spin a little, then sleep. A region may be run by fewer than all (`limit`).
class team {
 public:
  explicit team(int members) : size_(members < 1 ? 1 : members) {
    for (int i = 1, all = size(); i < all; ++i) threads_.emplace_back([this, i] { work(i); });
  }
  team(team const&) = delete;
  team& operator=(team const&) = delete;
  ~team() {
    job_ = {};
    limit(threads());
    start();
    for (auto& t : threads_) t.join();
  }

  /// The members of a region.
  int size() const { return size_.load(std::memory_order_relaxed); }
  /// The most that there can be.
  int threads() const { return int(threads_.size()) + 1; }
  /// From the next region on it has `members` members, 1 to `threads()`; the other threads sleep. Called between regions.
  void limit(int members) {
    if (members == size()) return;
    size_.store(members, std::memory_order_release);
    size_.notify_all();
  }

  /// Runs `f(member)` on every member and returns when all are done. The first exception that `serial` caught is
  /// rethrown. Any other exception ends the program with its sentence: the members that wait for the thrower could
  /// never go on.
  template <class F>
  void run(F& f) {
    job_ = {[](void* context, int member) { (*static_cast<F*>(context))(member); }, &f};
    if (size() > 1) start();
    {
      single_threaded_blas const guard;
      [&]() noexcept { f(0); }();
    }
    barrier();
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

  /// Waits until every member has come here. What any member wrote before is visible to all after.
  void barrier() {
    int const all = size();  // read before arriving: afterwards the region may be over, and the next one of another size
    if (all == 1) return;
    auto const generation = generation_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == all) {
      arrived_.store(0, std::memory_order_relaxed);
      next_.store(0, std::memory_order_relaxed);
      generation_.fetch_add(1, std::memory_order_release);
      generation_.notify_all();
    } else {
      wait_while(generation_, generation);
    }
  }

  /// The next task since the last barrier: 0, 1, 2, ... to whoever asks first.
  std::int64_t take() { return next_.fetch_add(1, std::memory_order_relaxed); }

  /// Called by one member at a time (inside `serial`); the first failure is the one that `run` throws.
  void fail(std::exception_ptr e) {
    if (!failure_) failure_ = std::move(e);
  }

 private:
  struct job {
    void (*call)(void*, int) = nullptr;
    void* context = nullptr;
  };

  /// Begins a region: its number and its size in one word, so that no thread takes one region's number for another's.
  void start() {
    start_.store((start_.load(std::memory_order_relaxed) / most_members + 1) * most_members + std::uint32_t(size()),
                 std::memory_order_release);
    start_.notify_all();
  }

  /// Spins for a few microseconds, which is what members differ by where the cores are theirs; then gives the core to
  /// whoever wants it, who may be the member that is waited for; then sleeps.
  static void wait_while(std::atomic<std::uint32_t>& value, std::uint32_t old) {
    for (int spin = 0; spin < spins; ++spin) {
      if (value.load(std::memory_order_acquire) != old) return;
#if defined(__x86_64__)
      if (spin < spins - yields) {
        _mm_pause();
        continue;
      }
#endif
      std::this_thread::yield();
    }
    while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
  }

  void work(int member) {
    single_threaded_blas const guard;
    for (std::uint32_t seen = 0;;) {
      wait_while(start_, seen);
      seen = start_.load(std::memory_order_acquire);
      if (member >= int(seen % most_members)) {  // no member of this region: sleeps until it may be one of another
        for (int now = size_.load(std::memory_order_acquire); member >= now; now = size_.load(std::memory_order_acquire))
          size_.wait(now, std::memory_order_acquire);
        continue;
      }
      if (job_.call == nullptr) return;
      job_.call(job_.context, member);
      barrier();
    }
  }

  static constexpr std::uint32_t most_members = 1 << 12;
  static constexpr int yields = 50, spins = 500 + yields;  // more spinning starves the others of a busy machine

  alignas(64) std::atomic<int> size_;  // changes between regions only
  std::vector<std::thread> threads_;
  job job_;
  std::exception_ptr failure_;
  alignas(64) std::atomic<std::uint32_t> start_{0};
  alignas(64) std::atomic<std::uint32_t> generation_{0};
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<std::int64_t> next_{0};
};

}  // namespace tenon::exec::cpu
