#pragma once
#include <cstdint>

namespace tenon::data {
struct micro_batch;
}
namespace tenon::train {

struct step_report;

/// A loss as it is before anybody divides: the sum of what was counted, and the count. Sums of micro-batches, ranks or steps
/// add up to the sum of all; that is the only way to put losses together.
class sum_count {
 public:
  constexpr sum_count() = default;
  /// `sum`: nats. `count`: tokens with a target.
  constexpr sum_count(double sum, std::int64_t count) : sum_(sum), count_(count) {}
  constexpr sum_count& operator+=(sum_count o) {
    sum_ += o.sum_, count_ += o.count_;
    return *this;
  }
  friend constexpr sum_count operator+(sum_count a, sum_count b) { return a += b; }
  constexpr double sum() const { return sum_; }
  constexpr std::int64_t count() const { return count_; }
  friend constexpr bool operator==(sum_count, sum_count) = default;

 private:
  double sum_ = 0;
  std::int64_t count_ = 0;
};

/// A loss per token. It can be read, compared and printed, for it converts to double; it cannot be added up or divided,
/// because a mean of means is wrong wherever the counts differ. Only the step makes one, by the one division of a
/// sum_count.
class mean_loss {
 public:
  constexpr mean_loss() = default;
  constexpr operator double() const { return value_; }
  friend constexpr bool operator==(mean_loss, mean_loss) = default;

  friend void operator+(mean_loss, mean_loss) = delete;
  friend void operator+(mean_loss, double) = delete;
  friend void operator+(double, mean_loss) = delete;
  friend double& operator+=(double&, mean_loss) = delete;
  template <class Number>
  friend void operator/(mean_loss, Number) = delete;

 private:
  constexpr explicit mean_loss(sum_count of) : value_(of.sum() / double(of.count() > 0 ? of.count() : 1)) {}
  template <class Trainer>
  friend step_report team_step(Trainer&, data::micro_batch const&);
  template <class Trainer>
  friend step_report finish_step(Trainer&, data::micro_batch const&);
  double value_ = 0;
};

}  // namespace tenon::train
