#pragma once
#include <cmath>
#include <cstdint>

#include "tenon/exec/cpu/vector.hpp"

namespace tenon::optim {

/// Elements of a flat buffer that one member handles at a time, in the norm and in the update. Fixed, so that the norm
/// has the same bits for any number of members.
inline constexpr std::int64_t chunk = 1 << 14;
constexpr std::int64_t num_chunks(std::int64_t size) { return (size + chunk - 1) / chunk; }

/// Sum of squares of a part of a flat fp32 buffer: fp32 within runs of 4096 elements, fp64 across them.
/// Infinity or NaN anywhere makes the sum infinite or NaN: the overflow check of loss scaling costs nothing more.
inline double sum_of_squares(float const* x, std::int64_t n) {
  using namespace exec::cpu;
  constexpr std::int64_t run = 4096;
  double total = 0;
  for (std::int64_t first = 0; first < n; first += run) {
    auto const count = n - first < run ? n - first : run;
    total += double(dot(x + first, x + first, count));
  }
  return total;
}

/// Factor that brings a gradient of norm `norm` down to `limit`; 1 when it is smaller or when clipping is off (limit
/// 0). As torch.nn.utils.clip_grad_norm_: limit / (norm + 1e-6), at most 1.
inline float clip_factor(double norm, double limit) {
  if (limit <= 0) return 1.f;
  double const factor = limit / (norm + 1e-6);
  return factor < 1 ? float(factor) : 1.f;
}

}  // namespace tenon::optim
