#pragma once
#include <bit>
#include <cstdint>

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace tenon::nn {

/// bfloat16 storage: the upper half of an fp32, rounded to nearest even. Arithmetic happens in fp32.
struct bf16 {
  std::uint16_t bits;
};

/// IEEE 754 binary16 storage, rounded to nearest even; overflow becomes infinity. Arithmetic happens in fp32.
struct fp16 {
  std::uint16_t bits;
};

/// Widens to fp32 (exact).
inline constexpr float widen(float x) { return x; }
inline constexpr float widen(bf16 x) { return std::bit_cast<float>(std::uint32_t{x.bits} << 16); }
inline float widen(fp16 x) {
#if defined(__F16C__)
  return _cvtsh_ss(x.bits);
#else
  std::uint32_t const sign = std::uint32_t(x.bits & 0x8000u) << 16, exponent = (x.bits >> 10) & 31u,
                      mantissa = x.bits & 1023u;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | mantissa << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  float const magnitude = float(mantissa) * 0x1p-24f;  // zero and subnormals
  return sign ? -magnitude : magnitude;
#endif
}

/// Rounds an fp32 to `T` (nearest even).
template <class T>
T narrow(float x);
template <>
inline float narrow<float>(float x) {
  return x;
}
template <>
inline bf16 narrow<bf16>(float x) {
  std::uint32_t const u = std::bit_cast<std::uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {std::uint16_t((u >> 16) | 64)};  // keep a NaN a NaN
  return {std::uint16_t((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
}
template <>
inline fp16 narrow<fp16>(float x) {
#if defined(__F16C__)
  return {_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT)};
#else
  std::uint32_t const u = std::bit_cast<std::uint32_t>(x), sign = (u >> 16) & 0x8000u, magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {std::uint16_t(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {std::uint16_t(sign | 0x7c00u)};
  if (magnitude < 0x38800000u) {  // subnormal half: adding 0.5 lets fp32 rounding do the work
    std::uint32_t const rounded = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f);
    return {std::uint16_t(sign | (rounded - 0x3f000000u))};
  }
  return {std::uint16_t(sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13))};
#endif
}

}  // namespace tenon::nn
