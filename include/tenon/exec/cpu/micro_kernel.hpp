#pragma once
#include "tenon/exec/cpu/panel.hpp"

/// The inner kernel of the matrix product: a few rows times a few registers of columns, held in registers over the
/// whole sum. Its order of summation is k alone, so an element's bits do not depend on how the rest of the product is
/// divided.
namespace tenon::exec::cpu::inline CPU_CAPABILITY {

#if defined(CPU_CAPABILITY_AVX512)
inline constexpr int tile_rows = 8;  ///< 8 x 3 sums, 3 columns and one row value: 28 of 32 registers
#else
inline constexpr int tile_rows = 4;  ///< 4 x 3 sums, 3 columns and one row value: all 16 registers
#endif
inline constexpr int tile_registers = 3;
inline constexpr int tile_columns = tile_registers * int(lanes);

/// Where a tile's sums go: fp32, alone or on top of `base` (which may be the target itself).
struct fp32_target {
  float* to;
  std::int64_t stride;
  float const* base;  ///< null: the target is overwritten, even where it holds NaN
  std::int64_t base_stride;

  fp32_target at(std::int64_t row, std::int64_t column) const {
    return {to + row * stride + column, stride, base ? base + row * base_stride + column : nullptr, base_stride};
  }
  void put(vec const& sum, std::int64_t row, std::int64_t column, std::int64_t count) const {
    store(base != nullptr ? sum + load(base + row * base_stride + column, count) : sum, to + row * stride + column,
          count);
  }
  fp32_target accumulate() const { return {to, stride, to, stride}; }
};

/// Rounded to 16 bits; the whole sum has to be in registers.
template <class T>
struct narrow_target {
  T* to;
  std::int64_t stride;
  narrow_target at(std::int64_t row, std::int64_t column) const { return {to + row * stride + column, stride}; }
  void put(vec const& sum, std::int64_t row, std::int64_t column, std::int64_t count) const {
    alignas(64) float wide[lanes];
    sum.store(wide);
    narrow(wide, to + row * stride + column, count);
  }
};

/// How the kernel finds the left operand's word (line, k): in a packed panel, or in the matrix itself with one of its
/// two strides. The matrix itself costs no packing; only values that have to be widened first need the panel.
enum class left_form : std::uint8_t { panel, along_k, along_lines };

template <class Word>
struct left_lines {
  Word const* data;
  std::int64_t stride;  ///< words, of the direction that is not contiguous; unused for a panel
};

/// A packed panel of the right operand: `width` lines (a multiple of lanes) of each k, of which some may be padding.
template <class Word>
struct right_panel {
  Word const* data;
  std::int64_t width;
};

/// target[0, rows) x [0, columns) from tile_rows lines on the left and a panel on the right, `k` words deep.
/// `Registers` * lanes must reach `columns`. With fewer rows than tile_rows the last line is read again instead of
/// those that are not there.
template <int Registers, left_form Form, class Word, class Target>
__attribute__((noinline)) void micro_kernel(std::int64_t k, left_lines<Word> a, right_panel<Word> right,
                                            Target const& target, std::int64_t rows, std::int64_t columns) {
  vec sum[tile_rows][Registers];
#pragma GCC unroll 8
  for (int i = 0; i < tile_rows; ++i)
#pragma GCC unroll 3
    for (int j = 0; j < Registers; ++j) sum[i][j] = vec(0.f);
  Word const* line[tile_rows];
#pragma GCC unroll 8
  for (int i = 0; i < tile_rows; ++i)
    line[i] = a.data + (Form == left_form::along_k       ? std::min<std::int64_t>(i, rows - 1) * a.stride
                        : Form == left_form::along_lines ? std::min<std::int64_t>(i, rows - 1)
                                                         : i);
  auto const* b = right.data;
  for (std::int64_t p = 0; p < k; ++p, b += right.width) {
    auto const at = Form == left_form::along_k ? p : Form == left_form::along_lines ? p * a.stride : p * tile_rows;
    if constexpr (std::is_same_v<Word, float>) {
      vec column[Registers];
#pragma GCC unroll 3
      for (int j = 0; j < Registers; ++j) column[j] = vec::loadu(b + j * lanes);
#pragma GCC unroll 8
      for (int i = 0; i < tile_rows; ++i) {
        vec const row(line[i][at]);
#pragma GCC unroll 3
        for (int j = 0; j < Registers; ++j) sum[i][j] = at::vec::fmadd(row, column[j], sum[i][j]);
      }
    }
#if defined(CPU_CAPABILITY_AVX512) && defined(__AVX512BF16__)
    else {
      __m512bh column[Registers];
#pragma GCC unroll 3
      for (int j = 0; j < Registers; ++j) column[j] = (__m512bh)_mm512_loadu_si512(b + j * lanes);
#pragma GCC unroll 8
      for (int i = 0; i < tile_rows; ++i) {
        auto const row = (__m512bh)_mm512_set1_epi32(int(line[i][at]));
#pragma GCC unroll 3
        for (int j = 0; j < Registers; ++j) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], row, column[j]);
      }
    }
#endif
  }
  if (rows == tile_rows && columns == Registers * lanes) {
#pragma GCC unroll 8
    for (int i = 0; i < tile_rows; ++i)
#pragma GCC unroll 3
      for (int j = 0; j < Registers; ++j) target.put(sum[i][j], i, j * lanes, lanes);
  } else {
#pragma GCC unroll 8
    for (int i = 0; i < tile_rows; ++i)
#pragma GCC unroll 3
      for (int j = 0; j < Registers; ++j)
        if (i < rows && j * lanes < columns)
          target.put(sum[i][j], i, j * lanes, std::min<std::int64_t>(lanes, columns - j * lanes));
  }
}

/// One panel of columns against `rows` lines of the left operand.
template <left_form Form, class Word, class Target>
void multiply_panel(std::int64_t k, left_lines<Word> a, std::int64_t rows, right_panel<Word> b, std::int64_t columns,
                    Target const& target) {
  auto const tile = tile_rows * (Form == left_form::along_k ? a.stride : Form == left_form::along_lines ? 1 : k);
  for (std::int64_t r = 0; r < rows; r += tile_rows, a.data += tile) {
    auto const n = std::min<std::int64_t>(tile_rows, rows - r);
    auto const place = target.at(r, 0);
    if (columns <= lanes)
      micro_kernel<1, Form>(k, a, b, place, n, columns);
    else if (columns <= 2 * lanes)
      micro_kernel<2, Form>(k, a, b, place, n, columns);
    else
      micro_kernel<3, Form>(k, a, b, place, n, columns);
  }
}

}  // namespace tenon::exec::cpu::inline CPU_CAPABILITY
