#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>

namespace tenon::train {

/// How many threads a step is fastest on, found out while the run goes on.
///
/// A step of a tiny model is shorter than the waiting of many threads for each other, and how long they wait depends on the
/// machine: on which cores the threads are, and on who else uses them. So steps shorter than `short_step` are tried, now and
/// then, on all threads, on half of them, a quarter, and so on down to one, and go on with the fastest. The numbers that a step
/// computes do not depend on it (tests/train/resume.cpp).
class team_size {
 public:
  static constexpr double short_step = 5e-3;  ///< seconds; in a longer one the waiting does not count
  static constexpr std::int64_t settle = 8;   ///< steps at the start that say nothing: pages and caches are new
  static constexpr std::int64_t tries = 6;    ///< steps with each number of threads
  static constexpr std::int64_t period = 1000;  ///< steps until all are tried again
  static constexpr double gain = 0.95;  ///< fewer threads are taken where they need at most this part of the time

  explicit team_size(int threads) : threads_(threads), members_(threads) {}

  /// Threads for the coming step.
  int members() const { return members_; }

  /// After a step: what it took.
  void took(double seconds) {
    if (threads_ == 1) return;
    if (since_ < settle) {
      if (++since_ == settle) begin_trial();
      return;
    }
    if (trying_) {
      if (tried_++ > 0) least_ = std::min(least_, seconds);  // the first one wakes threads, or has cold caches
      if (tried_ == tries) end_of_tries();
    } else if (++since_ >= settle + period) {
      begin_trial();
    }
  }

 private:
  void begin_trial() {
    trying_ = true, since_ = settle, members_ = best_ = threads_;
    best_time_ = std::numeric_limits<double>::infinity();
    begin_tries();
  }
  void begin_tries() { tried_ = 0, least_ = std::numeric_limits<double>::infinity(); }
  void end_of_tries() {
    if (least_ < best_time_ * gain) best_ = members_, best_time_ = least_;
    bool const all = members_ == threads_;
    if (members_ == 1 || (all && least_ > short_step)) {
      trying_ = false, members_ = best_;
    } else {
      members_ = (members_ + 1) / 2;
      begin_tries();
    }
  }

  int threads_, members_, best_ = 1;
  bool trying_ = false;
  std::int64_t since_ = 0, tried_ = 0;
  double least_ = 0, best_time_ = 0;
};

}  // namespace tenon::train
