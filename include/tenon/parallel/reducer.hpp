#pragma once
#include <algorithm>
#include <atomic>
#include <memory>
#include <type_traits>
#include <vector>

#include "tenon/nn/dtype.hpp"
#include "tenon/parallel/buckets.hpp"
#include "tenon/parallel/group.hpp"

namespace tenon::parallel {

/// Adds the flat fp32 gradient over the ranks, bucket by bucket, while the backward pass still runs.
///
/// A bucket starts when the last member of the team has ended its lease of the last group in it. Members end leases in
/// the order of readiness, so all ranks start their buckets in one order, which the exchange needs. With `Wire` float a
/// bucket is reduced where it lies; with a 16-bit type it is rounded into a buffer of its own before and widened after.
template <class Wire>
class reducer {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr bool in_place = std::is_same_v<Wire, float>;

  reducer(group& ranks, float* gradient, bucket_list list, int members)
      : ranks_(&ranks), gradient_(gradient), list_(std::move(list)), members_(members), pending_(list_.all.size()), back_(list_.all.size()) {
    if constexpr (!in_place) wire_.resize(std::size_t(list_.all.front().last));
    for (auto const& b : list_.all) {
      auto const n = b.last - b.first;
      if constexpr (in_place)
        tensors_.push_back(at::from_blob(gradient_ + b.first, {n}, at::kFloat));
      else
        tensors_.push_back(at::from_blob(wire_.data() + b.first, {n},
                                         std::is_same_v<Wire, nn::bf16> ? at::kBFloat16 : at::kHalf));
    }
    works_.resize(tensors_.size()), left_.resize(tensors_.size());
  }

  std::vector<bucket> const& buckets() const { return list_.all; }
  std::int64_t wire_bytes() const { return list_.all.front().last * std::int64_t(sizeof(Wire)); }

  /// Before the backward pass of the last micro-batch, by one member.
  void open() {
    for (std::size_t b = 0; b < list_.all.size(); ++b)
      pending_[b].store(list_.all[b].groups * members_, std::memory_order_relaxed);
  }
  /// A member has ended its lease of the `group`-th group. Never throws: what goes wrong is found when it is waited for.
  void ready(int group) noexcept {
    if (ranks_->size() == 1) return;
    auto const b = std::size_t(list_.of_group[std::size_t(group)]);
    if (pending_[b].fetch_sub(1, std::memory_order_acq_rel) == 1) start(b);
  }
  /// Waits for all buckets. By one member, after the pass. Throws departure when a rank is lost.
  void finish() {
    if (ranks_->size() == 1) return;
    for (std::size_t b = 0; b < works_.size(); ++b) {
      if (!failure_.empty() && !works_[b]) ranks_->give_up(failure_, "the reduction of the gradient");
      ranks_->wait(*works_[b], "the reduction of the gradient");
      works_[b].reset();
      if constexpr (!in_place) {
        auto const& k = list_.all[b];
        for (auto i = k.first; i < k.last; ++i) gradient_[i] = nn::widen(wire_[std::size_t(i)]);
      }
    }
  }
  /// Seconds in which at least one bucket of the last pass was on its way.
  double in_flight() const {
    std::vector<std::pair<clock::time_point, clock::time_point>> all;
    for (std::size_t b = 0; b < left_.size(); ++b) all.emplace_back(left_[b], back_[b].load(std::memory_order_acquire));
    std::sort(all.begin(), all.end());
    clock::duration sum{};
    clock::time_point end{};
    for (auto const& [left, back] : all) {
      if (back <= end) continue;
      sum += back - std::max(left, end), end = back;
    }
    return std::chrono::duration<double>(sum).count();
  }

 private:
  void start(std::size_t b) noexcept {
    if constexpr (!in_place) {
      auto const& k = list_.all[b];
      for (auto i = k.first; i < k.last; ++i) wire_[std::size_t(i)] = nn::narrow<Wire>(gradient_[i]);
    }
    try {
      left_[b] = clock::now(), back_[b].store(left_[b], std::memory_order_relaxed);
      works_[b] = ranks_->start_sum(tensors_[b]);
      works_[b]->getFuture()->addCallback(
          [this, b](c10::ivalue::Future&) { back_[b].store(clock::now(), std::memory_order_release); });
    } catch (std::exception const& e) {
      failure_ = first_line(e.what());
    }
  }

  group* ranks_;
  float* gradient_;
  bucket_list list_;
  int members_;
  std::vector<std::atomic<int>> pending_;
  std::vector<Wire> wire_;
  std::vector<at::Tensor> tensors_;
  std::vector<c10::intrusive_ptr<c10d::Work>> works_;
  std::vector<clock::time_point> left_;               ///< when each bucket left
  std::vector<std::atomic<clock::time_point>> back_;  ///< and when it was back; written by the backend's thread
  std::string failure_;
};

}  // namespace tenon::parallel
