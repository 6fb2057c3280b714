#pragma once
#include "tenon/exec/cuda/device.cuh"
#include "tenon/exec/cuda/kernels.hpp"

/// The end of a step: norm, decision, update. The formulas are those of optim/ (adamw.hpp, sgd.hpp, loss_scale.hpp,
/// norm.hpp), which the CPU runs.
namespace tenon::exec::cuda {

static __global__ void begin_numbers(step_numbers* s) {
  s->seed = float(s->scale / double(s->count > 0 ? s->count : 1));  // one division, before any backward pass
}

/// One block a chunk: fp32 within a thread's elements, fp64 across threads. An infinity or a NaN makes the sum one.
static __global__ void sum_chunk_squares(std::int64_t size, std::uint8_t const* map, float const* gradient, double* squares) {
  std::int64_t const first = std::int64_t{blockIdx.x} * norm_chunk,
                     last = first + norm_chunk < size ? first + norm_chunk : size;
  float sum = 0;
  for (auto i = first + threadIdx.x; i < last; i += block)
    if ((map[i / granule_size] & counted) != 0) sum += gradient[i] * gradient[i];
  double const total = block_sum(double(sum), room());
  if (threadIdx.x == 0) squares[blockIdx.x] = total;
}

/// One block in all.
static __global__ void decide_step(step_rules r, std::int64_t chunks, double const* squares, std::int64_t tiles,
                                   double const* losses, step_numbers* s) {
  double sum = 0, loss = 0;
  for (auto c = std::int64_t{threadIdx.x}; c < chunks; c += block) sum += squares[c];
  for (auto t = std::int64_t{threadIdx.x}; t < tiles; t += block) loss += losses[t];
  sum = block_sum(sum, room());
  loss = block_sum(loss, room());
  if (threadIdx.x != 0) return;
  double const norm = sqrt(sum) / s->scale;
  bool const finite = isfinite(norm);
  s->loss = loss, s->norm = norm, s->used_scale = s->scale, s->applied = finite ? 1 : 0;
  double const limit = r.clip > 0 ? r.clip / (norm + 1e-6) : 1;
  s->factor = float(double(limit < 1 ? float(limit) : 1.f) / s->scale);
  s->decay = float(1 - s->rate * r.weight_decay);
  double const t = double(s->updates + 1);
  if (r.rule == update_rule::adamw) {
    s->step = float(s->rate / (1 - pow(r.beta1, t)));
    s->bias2 = float(1 / sqrt(1 - pow(r.beta2, t)));
  } else {
    s->step = float(s->rate);
  }
  if (finite) s->updates += 1;
  if (!r.scales) return;
  if (!finite) {
    s->scale = double(float(s->scale * r.backoff)), s->good_steps = 0, s->skipped += 1;
  } else if (++s->good_steps == r.growth_interval) {
    if (s->scale * r.growth <= 3.4028234663852886e38) s->scale = double(float(s->scale * r.growth));
    s->good_steps = 0;
  }
}

/// One thread an element. D: of the compute copy; M: of the moments.
template <update_rule U, dtype D, dtype M>
__global__ void update_elements(step_rules r, std::int64_t size, std::uint8_t const* map, step_numbers const* s,
                                float const* gradient, float* master, value<M>* first, value<M>* second, value<D>* copy) {
  if (s->applied == 0) return;
  float const factor = s->factor, step = s->step;
  for (auto i = std::int64_t{blockIdx.x} * block + threadIdx.x; i < size; i += std::int64_t{gridDim.x} * block) {
    auto const kind = map[i / granule_size];
    if ((kind & trained) == 0) continue;
    float const g = gradient[i] * factor, w = master[i] * ((kind & decayed) != 0 ? s->decay : 1.f);
    float moved;
    if constexpr (U == update_rule::adamw) {
      // 1 - beta in fp64: in fp32, 1 - 0.999 would be off by 5e-5.
      float const m = float(r.beta1) * wide(first[i]) + float(1 - r.beta1) * g;
      float const v = float(r.beta2) * wide(second[i]) + float(1 - r.beta2) * g * g;
      put(first + i, m), put(second + i, v);
      moved = w - step * m / (sqrtf(v) * s->bias2 + float(r.epsilon));
    } else {
      float const velocity = float(r.momentum) * wide(first[i]) + g;
      put(first + i, velocity);
      moved = w - step * (float(1 - r.nesterov + r.nesterov * r.momentum) * velocity + float(r.nesterov) * g);
    }
    master[i] = moved;
    if constexpr (D != dtype::fp32) put(copy + i, moved);
  }
}

}  // namespace tenon::exec::cuda
