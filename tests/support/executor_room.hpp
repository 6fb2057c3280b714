#pragma once
#include <vector>

#include "tenon/exec/cpu/executor.hpp"

/// Memory for the executors of one team, when a test drives layers or operations without a model.
class executor_room {
 public:
  /// `rows`: of the largest micro-batch; `widest`: the largest width that a product has on any side.
  executor_room(int members, std::int64_t rows, std::int64_t widest)
      : floats_(tenon::exec::linear_workspace(widest, widest)) {
    own_.resize(std::size_t(floats_ * members));
    auto const lines = std::max(rows, widest);
    shared_.resize(std::size_t(tenon::exec::product_workspace(lines, lines, true)));
  }
  template <class T>
  tenon::exec::cpu::executor<T> on(tenon::exec::cpu::team& team, int member) {
    return {team, member, own_.data() + member * floats_, shared_.data()};
  }

 private:
  std::int64_t floats_;
  std::vector<float> own_, shared_;
};
