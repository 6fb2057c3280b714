#pragma once
#include <ATen/cpu/vec/vec.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "tenon/nn/dtype.hpp"

/// Loops over contiguous floats in registers of the ISA that this binary is built for.
namespace tenon::exec::cpu::inline CPU_CAPABILITY {

using vec = at::vec::Vectorized<float>;
inline constexpr std::int64_t lanes = vec::size();

/// f(offset, count): full registers first, then the tail with its count.
template <class F>
inline void for_registers(std::int64_t n, F&& f) {
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) f(i, lanes);
  if (i < n) f(i, n - i);
}
inline vec load(float const* p, std::int64_t count) { return count == lanes ? vec::loadu(p) : vec::loadu(p, count); }
inline void store(vec const& v, float* p, std::int64_t count) {
  if (count == lanes)
    v.store(p);
  else
    v.store(p, int(count));
}

/// e^x within 3 units in the last place; zero where it is smaller than any normal number. Faster than the library's:
/// x = n ln 2 + r with |r| <= ln 2 / 2, Taylor's series for e^r, n added to the exponent's bits.
inline vec exponential(vec const& x) {
  using at::vec::fmadd;
  using integers = std::int32_t __attribute__((vector_size(sizeof(vec))));
  using floats = float __attribute__((vector_size(sizeof(vec))));
  constexpr float to_integer = 0x1.8p23f;  // adding it leaves the integer in the low bits
  vec const shifted = fmadd(x, vec(0x1.715476p0f), vec(to_integer)), n = shifted - vec(to_integer);
  vec const r = fmadd(n, vec(-0x1.7f7d1c0p-20f), fmadd(n, vec(-0x1.62e4p-1f), x));  // ln 2 in two parts
  vec p(1.f / 720);
  for (float c : {1.f / 120, 1.f / 24, 1.f / 6, 1.f / 2, 1.f, 1.f}) p = fmadd(p, r, vec(c));
  floats in;
  integers bits, exponent;
  std::memcpy(&in, &x, sizeof in), std::memcpy(&bits, &p, sizeof p), std::memcpy(&exponent, &shifted, sizeof shifted);
  integers const low = in<-87.33654f, high = in> 88.72283f;
  bits = ((bits + (exponent << 23)) & ~(low | high)) | (high & 0x7f800000);
  return vec::loadu(&bits);
}

inline void scale_row(float* x, std::int64_t n, float factor) {
  for_registers(n, [&](std::int64_t i, std::int64_t c) { store(load(x + i, c) * vec(factor), x + i, c); });
}

/// Sum of a register's lanes, in a fixed order.
inline float sum_lanes(vec const& v) {
  alignas(64) float a[lanes];
  v.store(a);
  for (std::int64_t width = lanes / 2; width > 0; width /= 2)
    for (std::int64_t i = 0; i < width; ++i) a[i] += a[i + width];
  return a[0];
}
inline float max_lanes(vec const& v) {
  alignas(64) float a[lanes];
  v.store(a);
  float m = a[0];
  for (std::int64_t i = 1; i < lanes; ++i) m = m < a[i] ? a[i] : m;
  return m;
}

/// Sum of f(offset, count), where lanes beyond count must be zero.
template <class F>
inline float reduce_sum(std::int64_t n, F&& f) {
  vec total(0.f);
  for_registers(n, [&](std::int64_t i, std::int64_t count) { total = total + f(i, count); });
  return sum_lanes(total);
}
inline float dot(float const* a, float const* b, std::int64_t n) {
  return reduce_sum(n, [&](std::int64_t i, std::int64_t c) { return load(a + i, c) * load(b + i, c); });
}

/// Widens `n` values to fp32.
inline void widen(float const* in, float* out, std::int64_t n) { std::memcpy(out, in, std::size_t(n) * sizeof(float)); }
inline void widen(nn::bf16 const* in, float* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = std::bit_cast<float>(std::uint32_t{in[i].bits} << 16);
}
inline void widen(nn::fp16 const* in, float* out, std::int64_t n) {
  std::int64_t whole = 0;
#if defined(__F16C__) && defined(__AVX__)
  whole = n / 8 * 8;
  for (std::int64_t i = 0; i < whole; i += 8)
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<__m128i const*>(in + i))));
#endif
  for (std::int64_t i = whole; i < n; ++i) out[i] = nn::widen(in[i]);
}

/// Rounds `n` fp32 values to the nearest even value of the narrower type.
inline void narrow(float const* in, float* out, std::int64_t n) {
  std::memcpy(out, in, std::size_t(n) * sizeof(float));
}
inline void narrow(float const* in, nn::bf16* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {  // no branch, so that the compiler uses registers
    std::uint32_t const u = std::bit_cast<std::uint32_t>(in[i]);
    std::uint32_t const rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16, nan = (u >> 16) | 64u;
    out[i].bits = std::uint16_t((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
  }
}
inline void narrow(float const* in, nn::fp16* out, std::int64_t n) {
  std::int64_t whole = 0;
#if defined(__F16C__) && defined(__AVX__)
  whole = n / 8 * 8;
  for (std::int64_t i = 0; i < whole; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
#endif
  for (std::int64_t i = whole; i < n; ++i) out[i] = nn::narrow<nn::fp16>(in[i]);
}

/// A register of `count` (at most lanes) values of a 16-bit type, in fp32; zero beyond.
inline vec load(nn::bf16 const* p, std::int64_t count) {
  using halves = std::uint16_t __attribute__((vector_size(sizeof(vec) / 2)));
  using words = std::uint32_t __attribute__((vector_size(sizeof(vec))));
  halves from{};
  std::memcpy(&from, p, count == lanes ? sizeof from : std::size_t(count) * sizeof *p);
  words const wide = __builtin_convertvector(from, words) << 16;
  return vec::loadu(&wide);
}
inline vec load(nn::fp16 const* p, std::int64_t count) {
  alignas(64) float wide[lanes] = {};
  widen(p, wide, count == lanes ? lanes : count);
  return vec::loadu(wide);
}
template <class T>
requires(!std::is_same_v<T, float>) inline void store(vec const& v, T* p, std::int64_t count) {
  alignas(64) float wide[lanes];
  v.store(wide);
  narrow(wide, p, count == lanes ? lanes : count);
}

}  // namespace tenon::exec::cpu::inline CPU_CAPABILITY
