#pragma once
// Reads micro-batches ahead of the step on one background thread.
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/data/loader.hpp"

namespace tenon::data {

/// Some samples, and where they stand. The four arrays are [samples][sequence], row-major; see loader.
struct micro_batch {
  cursor at;    ///< of the first sample; on several ranks, of the first sample of all of them
  cursor next;  ///< of the first sample of the following micro-batch: what a checkpoint keeps
  std::int64_t samples = 0, sequence = 0;
  std::int64_t num_targets = 0;  ///< rows that carry a target
  std::vector<std::int32_t> tokens, targets, positions, document_start;
};

/// Hands out micro-batches in order, `depth` of them read ahead. `Loader` is loader or mixture_loader. What it gives
/// depends on loader and cursor alone, not on timing. After the first `depth + 1` micro-batches it allocates nothing.
template <class Loader>
class prefetcher {
 public:
  /// Each micro-batch holds `samples` samples and starts `stride` samples after the one before. Its samples are those
  /// from `offset` on, while `at` and `next` stay those of the stride: rank r of n takes r * samples with stride
  /// n * samples, and all ranks have the same cursor. Errors: counts below 1, an offset beyond the stride.
  prefetcher(Loader source, cursor start, std::int64_t samples, std::int64_t stride, int depth = 2,
             std::int64_t offset = 0)
      : source_(std::move(source)),
        at_(start),
        samples_(samples),
        stride_(stride),
        offset_(offset),
        slots_(std::size_t(depth < 1 ? 1 : depth)) {
    if (samples < 1 || offset < 0 || stride < offset + samples)
      throw error("a micro-batch needs at least one sample and a stride not below its size");
    thread_ = std::thread([this] { work(); });
  }
  prefetcher(Loader source, cursor start, std::int64_t samples)
      : prefetcher(std::move(source), start, samples, samples) {}
  ~prefetcher() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  prefetcher(prefetcher const&) = delete;
  prefetcher& operator=(prefetcher const&) = delete;

  /// Puts the next micro-batch into `into`, whose old buffers are reused; waits if it is not ready. Errors: whatever
  /// the background thread met, at every call from then on.
  void take(micro_batch& into) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return filled_ > 0 || failure_; });
    if (filled_ == 0) std::rethrow_exception(failure_);
    std::swap(into, slots_[head_]);
    head_ = (head_ + 1) % slots_.size();
    --filled_;
    lock.unlock();
    changed_.notify_all();
  }

 private:
  void work() {
    try {
      for (;;) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stop_ || filled_ < slots_.size(); });
        if (stop_) return;
        auto& slot = slots_[(head_ + filled_) % slots_.size()];  // not touched by take() until filled_ counts it
        lock.unlock();
        auto const rows = std::size_t(samples_ * source_.sequence());
        slot.at = at_;
        slot.samples = samples_, slot.sequence = source_.sequence();
        for (auto* v : {&slot.tokens, &slot.targets, &slot.positions, &slot.document_start}) v->resize(rows);
        source_.fill(offset_ > 0 ? source_.advance(at_, offset_) : at_, samples_, slot.tokens.data(), slot.targets.data(), slot.positions.data(),
                     slot.document_start.data());
        slot.num_targets = loader::count_targets(slot.targets.data(), std::int64_t(rows));
        at_ = slot.next = source_.advance(at_, stride_);
        lock.lock();
        ++filled_;
        lock.unlock();
        changed_.notify_all();
      }
    } catch (...) {
      std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
      changed_.notify_all();
    }
  }

  Loader source_;
  cursor at_;
  std::int64_t samples_, stride_, offset_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<micro_batch> slots_;
  std::size_t head_ = 0, filled_ = 0;
  bool stop_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace tenon::data
