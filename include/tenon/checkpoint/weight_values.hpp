#pragma once
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

#include "tenon/checkpoint/dtype.hpp"
#include "tenon/nn/dtype.hpp"

/// Elements of a tensor file as fp32, and fp32 as elements. Little-endian bytes; nothing need be aligned.
namespace tenon::checkpoint {

/// True for the types that hold a weight: fp32, fp64, bf16, fp16 and the two fp8 forms that LibTorch has.
constexpr bool is_weight(dtype type) {
  return type == dtype::F32 || type == dtype::F64 || type == dtype::BF16 || type == dtype::F16 ||
         type == dtype::F8_E4M3 || type == dtype::F8_E5M2;
}

/// The value of an fp8 number with 4 bits of exponent (bias 7), 3 of mantissa, no infinity and one NaN (OCP 8-bit
/// floating point, "E4M3"; LibTorch's Float8_e4m3fn).
inline float from_e4m3(std::uint8_t bits) {
  int const exponent = bits >> 3 & 15, mantissa = bits & 7;
  float const sign = bits & 0x80 ? -1.f : 1.f;
  if (exponent == 15 && mantissa == 7) return std::numeric_limits<float>::quiet_NaN();
  if (exponent == 0) return sign * float(mantissa) * 0x1p-9f;
  return sign * std::ldexp(float(8 + mantissa), exponent - 10);
}

/// The value of an fp8 number with 5 bits of exponent and 2 of mantissa: the upper byte of an fp16.
inline float from_e5m2(std::uint8_t bits) { return nn::widen(nn::fp16{std::uint16_t(bits << 8)}); }

namespace detail {

template <class Element, class Convert>
void convert_each(std::span<std::byte const> from, float* to, Convert convert) {
  for (std::size_t i = 0, n = from.size() / sizeof(Element); i < n; ++i) {
    Element e;
    std::memcpy(&e, from.data() + i * sizeof e, sizeof e);
    to[i] = convert(e);
  }
}

inline std::array<float, 256> const& fp8_table(dtype type) {
  static auto const make = [](auto value) {
    std::array<float, 256> t{};
    for (int b = 0; b < 256; ++b) t[std::size_t(b)] = value(std::uint8_t(b));
    return t;
  };
  static std::array<float, 256> const e4m3 = make(from_e4m3), e5m2 = make(from_e5m2);
  return type == dtype::F8_E4M3 ? e4m3 : e5m2;
}

}  // namespace detail

/// Writes the elements of `from` as fp32: exact, except that fp64 is rounded to nearest. Requires is_weight(type);
/// `to` has room for from.size() / size_of(type) floats.
inline void to_floats(dtype type, std::span<std::byte const> from, float* to) {
  switch (type) {
    case dtype::F32:
      return void(std::memcpy(to, from.data(), from.size()));
    case dtype::F64:
      return detail::convert_each<double>(from, to, [](double x) { return float(x); });
    case dtype::BF16:
      return detail::convert_each<nn::bf16>(from, to, [](nn::bf16 x) { return nn::widen(x); });
    case dtype::F16:
      return detail::convert_each<nn::fp16>(from, to, [](nn::fp16 x) { return nn::widen(x); });
    default: {
      auto const& table = detail::fp8_table(type);
      return detail::convert_each<std::uint8_t>(from, to, [&](std::uint8_t b) { return table[b]; });
    }
  }
}

/// Rounds `count` floats to `type` (fp32, bf16 or fp16; nearest even) at `to`.
inline void from_floats(float const* from, std::int64_t count, dtype type, std::byte* to) {
  auto const each = [&]<class T>(T) {
    for (std::int64_t i = 0; i < count; ++i) {
      T const x = nn::narrow<T>(from[i]);
      std::memcpy(to + i * std::int64_t(sizeof x), &x, sizeof x);
    }
  };
  if (type == dtype::BF16) return each(nn::bf16{});
  if (type == dtype::F16) return each(nn::fp16{});
  std::memcpy(to, from, std::size_t(count) * 4);
}

/// Multiplies a matrix [rows, cols] in place by one scale for each block of block_rows x block_cols; the last blocks
/// of a line or column may be smaller. `scale` is row-major, ceil(rows / block_rows) x ceil(cols / block_cols).
inline void scale_blocks(float* matrix, std::int64_t rows, std::int64_t cols, float const* scale,
                         std::int64_t block_rows, std::int64_t block_cols) {
  auto const across = (cols + block_cols - 1) / block_cols;
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < cols; ++j) matrix[i * cols + j] *= scale[i / block_rows * across + j / block_cols];
}

}  // namespace tenon::checkpoint
