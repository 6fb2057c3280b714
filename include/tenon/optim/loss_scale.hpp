#pragma once
#include <cstdint>
#include <limits>

namespace tenon::optim {

/// Dynamic loss scaling (Micikevicius et al. 2018, arXiv 1710.03740), with the state and the rule of
/// torch.amp.GradScaler: an overflow multiplies the scale by `backoff` and the step is skipped; `interval` good steps
/// in a row multiply it by `growth`. As there, the scale is always an fp32 number, and growth that would leave fp32
/// does not happen.
struct loss_scale {
  double scale = 1;
  std::int64_t good_steps = 0;
  std::int64_t skipped = 0;  ///< steps dropped so far

  constexpr void update(bool overflow, double growth, double backoff, std::int64_t interval) {
    if (overflow) {
      scale = double(float(scale * backoff)), good_steps = 0, ++skipped;
    } else if (++good_steps == interval) {
      if (scale * growth <= double(std::numeric_limits<float>::max())) scale = double(float(scale * growth));
      good_steps = 0;
    }
  }
};

}  // namespace tenon::optim
