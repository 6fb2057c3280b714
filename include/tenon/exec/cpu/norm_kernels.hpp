#pragma once
#include "tenon/exec/cpu/vector.hpp"

/// Row kernels of the norm, the gate and the rotation. Each works on one row, or on one row of a head.
namespace tenon::exec::cpu::inline CPU_CAPABILITY {

/// out = weight * in / sqrt(mean(in^2) + epsilon); returns the inverse root mean square.
template <int N, class T>
inline float rmsnorm_row(float const* in, T const* weight, float epsilon, T* out) {
  float const squares = reduce_sum(N, [&](std::int64_t i, std::int64_t c) {
    auto const x = load(in + i, c);
    return x * x;
  });
  float const inverse = 1.f / std::sqrt(squares / float(N) + epsilon);
  for_registers(N, [&](std::int64_t i, std::int64_t c) {
    store(load(in + i, c) * vec(inverse) * load(weight + i, c), out + i, c);
  });
  return inverse;
}

/// d_in += gradient of rmsnorm_row, d_weight += d_out * normalised input. With g = d_out * weight and x^ = in *
/// inverse: d_in = inverse * (g - x^ * mean(g * x^)).
template <int N, class T>
inline void rmsnorm_row_backward(float const* in, T const* weight, float inverse, float const* d_out, float* d_in,
                                 float* d_weight) {
  alignas(64) float w[N];
  float const* wide = w;
  if constexpr (std::is_same_v<T, float>)
    wide = weight;
  else
    widen(weight, w, N);
  float const projection = reduce_sum(
      N, [&](std::int64_t i, std::int64_t c) { return load(d_out + i, c) * load(wide + i, c) * load(in + i, c); });
  vec const scale(inverse), back(projection * inverse * inverse * inverse / float(N));
  for_registers(N, [&](std::int64_t i, std::int64_t c) {
    auto const x = load(in + i, c), d = load(d_out + i, c);
    store(load(d_in + i, c) + d * load(wide + i, c) * scale - x * back, d_in + i, c);
    store(load(d_weight + i, c) + d * x * scale, d_weight + i, c);
  });
}

inline vec sigmoid(vec const& z) { return vec(1.f) / (vec(1.f) + exponential(z.neg())); }

/// silu(gate) * up.
template <int N, class T>
inline void swiglu_row(T const* gate, T const* up, T* out) {
  for_registers(N, [&](std::int64_t i, std::int64_t c) {
    auto const z = load(gate + i, c);
    store(z * sigmoid(z) * load(up + i, c), out + i, c);
  });
}

/// Replaces gate and up by their gradients. With s = sigmoid(z): silu'(z) = s * (1 + z * (1 - s)).
template <int N, class T>
inline void swiglu_row_backward(float const* d_out, T* gate, T* up) {
  for_registers(N, [&](std::int64_t i, std::int64_t c) {
    auto const z = load(gate + i, c), d = load(d_out + i, c), s = sigmoid(z), silu = z * s;
    store(d * load(up + i, c) * (s + silu * (vec(1.f) - s)), gate + i, c);
    store(d * silu, up + i, c);
  });
}

/// Rotates one head's row in place: pairs are (j, j + head_dim / 2). `sign` -1 rotates back.
template <int HeadDim, class T>
inline void rotary_row(T* x, float const* cosine, float const* sine, float sign) {
  constexpr int half = HeadDim / 2;
  for_registers(half, [&](std::int64_t i, std::int64_t c) {
    auto const co = load(cosine + i, c), si = load(sine + i, c) * vec(sign);
    auto const p = load(x + i, c), q = load(x + half + i, c);
    store(p * co - q * si, x + i, c);
    store(q * co + p * si, x + half + i, c);
  });
}

}  // namespace tenon::exec::cpu::inline CPU_CAPABILITY
