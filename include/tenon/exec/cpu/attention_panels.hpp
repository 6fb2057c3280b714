#pragma once
#include <algorithm>

#include "tenon/exec/cpu/loss_kernels.hpp"
#include "tenon/exec/cpu/micro_kernel.hpp"
#include "tenon/exec/workspace.hpp"

/// One head's rows as operands of attention's small products. All of it stays in one member's cache.
namespace tenon::exec::cpu::inline CPU_CAPABILITY {

/// One head's rows inside a row-major activation: `width` values wide, `stride` elements from row to row.
template <class T>
struct head_view {
  T* data;
  std::int64_t stride;
  T* row(std::int64_t r) const { return data + r * stride; }
};

/// Rows [first, last) of a head as fp32: fp32 heads are used in place, others are widened into `room`.
template <int HeadDim, class T>
head_view<float const> as_fp32(head_view<T> h, std::int64_t first, std::int64_t last, float* room) {
  if constexpr (std::is_same_v<std::remove_const_t<T>, float>) {
    return {h.row(first), h.stride};
  } else {
    for (std::int64_t r = first; r < last; ++r) widen(h.row(r), room + (r - first) * HeadDim, HeadDim);
    return {room, HeadDim};
  }
}

/// A head as the sum's direction of a product with the scores, `[rows, rows] x [rows, HeadDim]`: panels of columns as
/// wide as the micro kernel takes, all of the same width.
template <int HeadDim>
struct head_panels {
  static constexpr int registers = int((HeadDim + lanes - 1) / lanes);
  static constexpr int count = (registers + tile_registers - 1) / tile_registers;
  static constexpr int width = (registers + count - 1) / count * int(lanes);

  float* data;
  std::int64_t depth;  ///< rows that a panel holds

  /// Fills in `n` rows from row `first` of the panels on. `room`: query_block rows, for heads that are not fp32.
  template <class T>
  void pack(head_view<T> h, std::int64_t n, float* room) const {
    for (std::int64_t first = 0; first < n; first += query_block) {
      auto const last = std::min<std::int64_t>(n, first + query_block);
      auto const from = as_fp32<HeadDim>(h, first, last, room);
      for (int j = 0; j < count; ++j)
        pack_along_lines<width>(operand<float>{from.data, 1, from.stride}, j * width,
                                std::min(width, HeadDim - j * width), 0, last - first,
                                data + (j * depth + first) * width);
    }
  }
  /// target[0, rows) = base + left x rows [first, first + k) of the head. At most tile_rows rows.
  template <left_form Form>
  void multiply(std::int64_t first, std::int64_t k, left_lines<float> left, std::int64_t rows,
                fp32_target const& target) const {
    for (int j = 0; j < count; ++j)
      multiply_panel<Form>(k, left, rows, right_panel<float>{data + (j * depth + first) * width, width},
                           std::min(width, HeadDim - j * width), target.at(0, j * width));
  }
};

/// A head as the right operand of its scores, `[rows, HeadDim] x [rows, HeadDim]^T`: panels of tile_columns rows.
template <int HeadDim>
struct score_panels {
  float* data;

  template <class T>
  void pack(head_view<T> h, std::int64_t n, float* room) const {
    static_assert(tile_columns <= query_block);
    for (std::int64_t first = 0; first < n; first += tile_columns) {
      auto const last = std::min<std::int64_t>(n, first + tile_columns);
      auto const from = as_fp32<HeadDim>(h, first, last, room);
      cpu::pack<tile_columns>(operand<float>{from.data, from.stride, 1}, 0, last - first, 0, HeadDim,
                              data + first * HeadDim);
    }
  }
  /// scores[i][j - base] = left row i . row j for the keys j from `base` (a multiple of tile_columns) to `end` that row
  /// i sees, and some beyond; row i sees keys up to `diagonal` + i.
  void multiply(std::int64_t base, std::int64_t end, std::int64_t diagonal, float const* left, std::int64_t n,
                float* scores, std::int64_t stride) const {
    for (auto key = base; key < end; key += tile_columns) {
      auto const first = std::max<std::int64_t>(0, key - diagonal) / tile_rows * tile_rows;
      if (first >= n) break;
      multiply_panel<left_form::along_k>(HeadDim, left_lines<float>{left + first * HeadDim, HeadDim}, n - first,
                                         right_panel<float>{data + key * HeadDim, tile_columns},
                                         std::min<std::int64_t>(tile_columns, end - key),
                                         fp32_target{scores + first * stride + key - base, stride, nullptr, 0});
    }
  }
};

/// Zero outside of the columns [from, to) that a row sees, as far as any product reads it.
inline void mask_row(float* row, std::int64_t from, std::int64_t to) {
  std::fill(row, row + from, 0.f);
  std::fill_n(row + to, tile_rows, 0.f);
}

}  // namespace tenon::exec::cpu::inline CPU_CAPABILITY
