#pragma once
#include <exception>
#include <vector>

#include "tenon/exec/cuda/communicator.hpp"
#include "tenon/parallel/announcing_store.hpp"

namespace tenon::parallel {

/// Puts the addition of the flat fp32 gradient over the ranks into the step of a GPU, bucket by bucket, while the backward pass
/// of the last micro-batch still runs.
///
/// Leases end in the order of readiness, and when one ends, what writes its gradients is in the compute stream. So a bucket's
/// sum is put into a stream of its own, behind a mark in the compute stream, and the compute stream waits for that stream
/// before it looks at the norm. All of it may be captured in the step's graph. Sums lie where they were added, in fp32.
template <class Model>
class gpu_exchange {
 public:
  /// `connection`: null for one rank, where nothing is added. References outlive this.
  gpu_exchange(exec::cuda::communicator* connection, exec::cuda::stream compute, float* gradient, bucket_list list)
      : connection_(connection), compute_(compute), gradient_(gradient), list_(std::move(list)), left_(list_.all.size()) {
    for (std::size_t b = 0; b < list_.all.size(); ++b) ready_.push_back(exec::cuda::make_event());
  }

  std::vector<bucket> const& buckets() const { return list_.all; }
  std::int64_t wire_bytes() const { return list_.all.front().last * std::int64_t(sizeof(float)); }

  /// The store for a micro-batch's passes. In the `last` one, leases announce their end here.
  template <class Store>
  announcing_store<Model, Store, gpu_exchange> around(Store const& s, bool last) {
    for (std::size_t b = 0; b < left_.size(); ++b) left_[b] = list_.all[b].groups;
    return {s, last ? this : nullptr};
  }
  /// A lease of the `group`-th group has ended. Never throws: `end` does.
  void ready(int group) noexcept {
    auto const b = std::size_t(list_.of_group[std::size_t(group)]);
    if (connection_ == nullptr || --left_[b] > 0 || failure_) return;
    try {
      exec::cuda::mark(ready_[b], compute_);
      exec::cuda::wait_for(ready_[b], own_.get());
      if (b + 1 < left_.size()) sum(b);
    } catch (...) {
      failure_ = std::current_exception();
    }
  }
  /// After the passes: the last bucket leaves, together with `losses`, and the compute stream waits for all of them.
  void end(double* losses, std::int64_t n) {
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    if (connection_ == nullptr) return;
    connection_->together([&] {
      sum(left_.size() - 1);
      connection_->sum(own_.get(), losses, n);
    });
    exec::cuda::mark(done_, own_.get());
    exec::cuda::wait_for(done_, compute_);
  }

 private:
  void sum(std::size_t b) {
    auto const& k = list_.all[b];
    connection_->sum(own_.get(), gradient_ + k.first, k.last - k.first);
  }

  exec::cuda::communicator* connection_;
  exec::cuda::stream compute_;
  float* gradient_;
  bucket_list list_;
  std::vector<int> left_;  ///< groups of each bucket that are not ready
  exec::cuda::owned_stream own_ = exec::cuda::make_stream();
  std::vector<exec::cuda::owned_event> ready_;
  exec::cuda::owned_event done_ = exec::cuda::make_event();
  std::exception_ptr failure_;
};

}  // namespace tenon::parallel
