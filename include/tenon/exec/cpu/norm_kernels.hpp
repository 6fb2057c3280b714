#pragma once
#include "tenon/exec/cpu/vector.hpp"

/// Row kernels of the norm, the gate and the rotation. Each works on one row, or on one row of a head.
namespace tenon::exec::cpu {

/// out = weight * in / sqrt(mean(in^2) + epsilon); returns the inverse root mean square.
template <int N, class T>
inline float rmsnorm_row(float const* in, T const* weight, float epsilon, T* out) {
  float const squares = reduce_sum(N, [&](std::int64_t i, std::int64_t c) {
    auto const x = load(in + i, c);
    return x * x;
  });
  float const inverse = 1.f / std::sqrt(squares / float(N) + epsilon);
  if constexpr (std::is_same_v<T, float>) {
    for_registers(N, [&](std::int64_t i, std::int64_t c) {
      store(load(in + i, c) * vec(inverse) * load(weight + i, c), out + i, c);
    });
  } else {
    for (int i = 0; i < N; ++i) out[i] = nn::narrow<T>(in[i] * inverse * nn::widen(weight[i]));
  }
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

/// silu(gate) * up.
template <int N, class T>
inline void swiglu_row(T const* gate, T const* up, T* out) {
  constexpr std::int64_t tile = 256;
  alignas(64) float g[tile], u[tile], o[tile];
  for (std::int64_t j = 0; j < N; j += tile) {
    auto const n = N - j < tile ? N - j : tile;
    widen(gate + j, g, n), widen(up + j, u, n);
    for_registers(n, [&](std::int64_t i, std::int64_t c) {
      auto const z = load(g + i, c);
      store(z / (vec(1.f) + z.neg().exp()) * load(u + i, c), o + i, c);
    });
    narrow(o, out + j, n);
  }
}

/// Replaces gate and up by their gradients. With s = sigmoid(z): silu'(z) = s * (1 + z * (1 - s)).
template <int N, class T>
inline void swiglu_row_backward(float const* d_out, T* gate, T* up) {
  constexpr std::int64_t tile = 256;
  alignas(64) float g[tile], u[tile];
  for (std::int64_t j = 0; j < N; j += tile) {
    auto const n = N - j < tile ? N - j : tile;
    widen(gate + j, g, n), widen(up + j, u, n);
    for_registers(n, [&](std::int64_t i, std::int64_t c) {
      auto const z = load(g + i, c), d = load(d_out + j + i, c), s = vec(1.f) / (vec(1.f) + z.neg().exp());
      auto const silu = z * s;
      store(d * load(u + i, c) * (s + silu * (vec(1.f) - s)), g + i, c);
      store(d * silu, u + i, c);
    });
    narrow(g, gate + j, n), narrow(u, up + j, n);
  }
}

/// Rotates one head's row in place: pairs are (j, j + head_dim / 2). `sign` -1 rotates back.
template <int HeadDim, class T>
inline void rotary_row(T* x, float const* cosine, float const* sine, float sign) {
  constexpr int half = HeadDim / 2;
  alignas(64) float a[half], b[half];
  widen(x, a, half), widen(x + half, b, half);
  for_registers(half, [&](std::int64_t i, std::int64_t c) {
    auto const co = load(cosine + i, c), si = load(sine + i, c) * vec(sign), p = load(a + i, c), q = load(b + i, c);
    store(p * co - q * si, a + i, c);
    store(q * co + p * si, b + i, c);
  });
  narrow(a, x, half), narrow(b, x + half, half);
}

}  // namespace tenon::exec::cpu
