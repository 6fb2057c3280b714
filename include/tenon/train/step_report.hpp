#pragma once
#include <cstdint>

#include "tenon/train/sum_count.hpp"

namespace tenon::train {

/// What a step found out.
struct step_report {
  mean_loss loss{};        ///< nats per token: sum over all micro-batches / count
  sum_count total{};       ///< the sum itself, for whoever puts steps together
  std::int64_t count = 0;  ///< tokens with a target
  double learning_rate = 0;
  double balance = 0;        ///< of routed experts: their balance losses with their weights, mean over sequences
  double expert_load = 0;    ///< rows of the fullest expert beside the mean, in the worst block; 0: nobody counts
  double further = 0;        ///< loss of multi-token prediction before its weight, as DeepSeek-V3's equation 24 divides it
  double gradient_norm = 0;  ///< of the unscaled gradient, before clipping
  bool skipped = false;      ///< the scaled gradient overflowed: nothing moved
};

}  // namespace tenon::train
