#pragma once
#include <cstdint>

#include "tenon/data/prefetcher.hpp"
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

/// Whether a trainer's step runs on a GPU: a constant of its type.
template <class Trainer>
inline constexpr bool on_a_device = requires { requires Trainer::on_device; };
/// Whether its step is one of several ranks.
template <class Trainer>
inline constexpr bool has_company = requires { requires Trainer::on_ranks; };

/// Whether the run is to stop after this step: what the host says, or on several ranks, what they agreed on before it.
template <class Trainer, class Host>
bool stops(Trainer& t, Host& host) {
  if constexpr (has_company<Trainer>)
    return t.ranks().stops();
  else
    return host.interrupted();
}

/// Of a trainer on a GPU, in train/device_step.hpp, which <tenon/cuda.hpp> brings: the step into the device's stream, and
/// its report out.
template <class Trainer>
void start_step(Trainer& t, data::micro_batch const& batch);
template <class Trainer>
step_report finish_step(Trainer& t, data::micro_batch const& batch);

}  // namespace tenon::train
