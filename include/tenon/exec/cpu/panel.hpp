#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "tenon/exec/cpu/vector.hpp"

#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
#include <immintrin.h>
#define TENON_TRANSPOSES 1  // eight by eight, in registers
#else
#define TENON_TRANSPOSES 0
#endif

/// Operands of a matrix product as the inner kernel wants them: panels. A panel holds a few lines of a matrix (rows of
/// the left operand or columns of the right one), interleaved so that one step of the sum over k reads one contiguous
/// run: `panel[k][line]`. The unit is a word of 32 bits: an fp32, or two neighbours in k of a bf16 where the CPU
/// multiplies such pairs (AVX-512 BF16). Other 16-bit values are widened to fp32 on the way in. After Goto and van de
/// Geijn 2008, "Anatomy of high-performance matrix multiplication".
namespace tenon::exec::cpu::inline CPU_CAPABILITY {

/// A word of the panel, and how eight of them are read from memory where k is contiguous.
template <class T>
struct words {
  using type = float;
  static constexpr int per_word = 1;  ///< elements of k in one word
#if TENON_TRANSPOSES
  static __m256 load8(T const* p) {
    if constexpr (std::is_same_v<T, float>) {
      return _mm256_loadu_ps(p);
    } else if constexpr (std::is_same_v<T, nn::fp16>) {
      return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p)));
    } else {
      auto const wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p)));
      return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
    }
  }
#endif
};
#if defined(CPU_CAPABILITY_AVX512) && defined(__AVX512BF16__)
template <>
struct words<nn::bf16> {
  using type = std::uint32_t;
  static constexpr int per_word = 2;
  static __m256 load8(nn::bf16 const* p) {
    return _mm256_castsi256_ps(_mm256_loadu_si256(reinterpret_cast<__m256i const*>(p)));
  }
};
#endif
template <class T>
using word = typename words<T>::type;

/// Words that `k` elements take.
template <class T>
constexpr std::int64_t words_of(std::int64_t k) {
  return (k + words<T>::per_word - 1) / words<T>::per_word;
}

/// One operand of a product. Element (line, k) lies at data[line * line_stride + k * k_stride]; one stride is 1.
template <class T>
struct operand {
  T const* data;
  std::int64_t line_stride, k_stride;
  T const* at(std::int64_t line, std::int64_t k) const { return data + line * line_stride + k * k_stride; }
};

#if TENON_TRANSPOSES
inline void transpose_8x8(__m256 r[8]) {
  __m256 t[8];
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
    t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
  }
  for (int i = 0; i < 8; ++i) r[i] = t[i];
}
#endif

/// Fills panel[word][0, Width) with `count` (at most Width) lines from `first`, k in [k0, k1). Lines beyond `count` and
/// the missing half of a last odd word are zero.
template <int Width, class T>
void pack_along_k(operand<T> const& from, std::int64_t first, std::int64_t count, std::int64_t k0, std::int64_t k1,
                  word<T>* panel) {
#if TENON_TRANSPOSES
  constexpr int per = words<T>::per_word, store = Width < 8 ? Width : 8;
  static_assert(Width % store == 0 && (store == 8 || store == 4));
  std::int64_t const total = words_of<T>(k1 - k0), whole = (k1 - k0) / (8 * per) * 8;
  for (std::int64_t line = 0; line < Width; line += store) {
    auto const lines = std::clamp<std::int64_t>(count - line, 0, store);
    for (std::int64_t w = 0; w < total; w += 8) {
      __m256 r[8];
      for (int i = 0; i < 8; ++i) {
        r[i] = _mm256_setzero_ps();
        if (i >= lines) continue;
        auto const* const p = from.at(first + line + i, k0 + w * per);
        if (w < whole) {
          r[i] = words<T>::load8(p);
        } else {  // the last few of this line: nothing beyond them may be read
          T last[8 * per] = {};
          std::memcpy(last, p, std::size_t(k1 - k0 - w * per) * sizeof(T));
          r[i] = words<T>::load8(last);
        }
      }
      transpose_8x8(r);
      auto const n = std::min<std::int64_t>(8, total - w);
      for (std::int64_t j = 0; j < n; ++j) {
        auto* const out = reinterpret_cast<float*>(panel + (w + j) * Width + line);
        if constexpr (store == 8)
          _mm256_storeu_ps(out, r[j]);
        else
          _mm_storeu_ps(out, _mm256_castps256_ps128(r[j]));
      }
    }
  }
#else
  for (std::int64_t line = 0; line < Width; ++line)
    for (std::int64_t k = k0; k < k1; ++k)
      panel[(k - k0) * Width + line] = line < count ? nn::widen(*from.at(first + line, k)) : 0.f;
#endif
}

/// The same where the lines are contiguous in memory.
template <int Width, class T>
void pack_along_lines(operand<T> const& from, std::int64_t first, std::int64_t count, std::int64_t k0, std::int64_t k1,
                      word<T>* panel) {
  for (std::int64_t k = k0; k < k1; k += words<T>::per_word, panel += Width) {
    auto const* const row = from.at(first, k);
    if constexpr (words<T>::per_word == 2) {
      auto const* const next = row + from.k_stride;
      if (count == Width && k + 1 < k1)
        for (int i = 0; i < Width; ++i) panel[i] = std::uint32_t{row[i].bits} | std::uint32_t{next[i].bits} << 16;
      else
        for (int i = 0; i < Width; ++i)
          panel[i] = i < count ? std::uint32_t{row[i].bits} | (k + 1 < k1 ? std::uint32_t{next[i].bits} << 16 : 0) : 0;
    } else {
      if (count == Width) {
        widen(row, panel, Width);
      } else {
        widen(row, panel, count);
        std::fill(panel + count, panel + Width, 0.f);
      }
    }
  }
}

template <int Width, class T>
void pack(operand<T> const& from, std::int64_t first, std::int64_t count, std::int64_t k0, std::int64_t k1,
          word<T>* panel) {
  if (from.k_stride == 1)
    pack_along_k<Width>(from, first, count, k0, k1, panel);
  else
    pack_along_lines<Width>(from, first, count, k0, k1, panel);
}

}  // namespace tenon::exec::cpu::inline CPU_CAPABILITY
