#pragma once
#include <algorithm>

#include "tenon/exec/cpu/gemm.hpp"
#include "tenon/exec/cpu/loss_kernels.hpp"
#include "tenon/exec/workspace.hpp"
#include "tenon/nn/context.hpp"

/// Attention of one key/value head over one sample, forward and backward, without a T x T buffer: blocks of query rows
/// against the keys that they may see. Scores and probabilities are fp32. After Dao et al. 2022 (arXiv 2205.14135) the
/// backward pass rebuilds the probabilities from the saved log-sum-exp.
namespace tenon::exec::cpu {

/// One head's rows inside a row-major activation: `width` values wide, `stride` elements from row to row.
template <class T>
struct head_view {
  T* data;
  std::int64_t stride;
  T* row(std::int64_t r) const { return data + r * stride; }
};

/// Rows [first, last) of a head as contiguous or strided fp32: fp32 heads are used in place, others are widened into
/// `room`.
template <int HeadDim, class T>
inline head_view<float const> as_fp32(head_view<T> h, std::int64_t first, std::int64_t last, float* room) {
  if constexpr (std::is_same_v<std::remove_const_t<T>, float>) {
    return {h.row(first), h.stride};
  } else {
    for (std::int64_t r = first; r < last; ++r) widen(h.row(r), room + (r - first) * HeadDim, HeadDim);
    return {room, HeadDim};
  }
}

/// One tile: `queries` rows per query head starting at row `past` of the keys; `Group` query heads share the key head.
/// Row i sees keys document_start[i] .. past + i.
template <int HeadDim, int Group, class T>
inline void attention_tile(std::int64_t queries, std::int64_t past, std::int32_t const* document_start,
                           head_view<T const> q, head_view<T const> k, head_view<T const> v, head_view<T> out,
                           float* log_sum_exp, std::int64_t log_sum_exp_stride, float* room) {
  float const scale = 1.f / std::sqrt(float(HeadDim));
  std::int64_t const keys = past + queries;
  float* const scores = room;
  float* const wide_k = scores + query_block * keys;
  float* const wide_v = wide_k + keys * HeadDim;
  float* const wide_q = wide_v + keys * HeadDim;
  float* const mixed = wide_q + query_block * HeadDim;
  auto const k32 = as_fp32<HeadDim>(k, 0, keys, wide_k), v32 = as_fp32<HeadDim>(v, 0, keys, wide_v);

  for (int g = 0; g < Group; ++g) {
    head_view<T const> const qg{q.data + g * HeadDim, q.stride};
    for (std::int64_t first = 0; first < queries; first += query_block) {
      std::int64_t const last = std::min(first + query_block, queries), n = last - first;
      std::int64_t const lowest = document_start[first], width = past + last - lowest;
      auto const q32 = as_fp32<HeadDim>(qg, first, last, wide_q);
      gemm(op::none, op::transpose, n, width, HeadDim, q32.data, q32.stride, k32.row(lowest), k32.stride, 0.f, scores,
           width);
      for (std::int64_t i = 0; i < n; ++i) {
        float* const row = scores + i * width;
        std::int64_t const from = document_start[first + i] - lowest, to = past + first + i + 1 - lowest;
        for_registers(to - from, [&](std::int64_t j, std::int64_t c) {
          store(load(row + from + j, c) * vec(scale), row + from + j, c);
        });
        float const top = max_of(row + from, to - from), sum = exp_sum(row + from, to - from, top);
        log_sum_exp[(first + i) * log_sum_exp_stride + g] = top + std::log(sum);
        vec const inverse(1.f / sum);
        for_registers(to - from, [&](std::int64_t j, std::int64_t c) {
          store(load(row + from + j, c) * inverse, row + from + j, c);
        });
        std::fill(row, row + from, 0.f);
        std::fill(row + to, row + width, 0.f);
      }
      if constexpr (std::is_same_v<T, float>) {
        gemm(op::none, op::none, n, HeadDim, width, scores, width, v32.row(lowest), v32.stride, 0.f,
             out.row(first) + g * HeadDim, out.stride);
      } else {
        gemm(op::none, op::none, n, HeadDim, width, scores, width, v32.row(lowest), v32.stride, 0.f, mixed, HeadDim);
        for (std::int64_t i = 0; i < n; ++i) narrow(mixed + i * HeadDim, out.row(first + i) + g * HeadDim, HeadDim);
      }
    }
  }
}

/// Gradients of one tile: q, k and v are replaced by theirs. With P the probabilities, dP = dO V^T and
/// D_i = sum_j P_ij dP_ij = dO_i . O_i: dS = P * (dP - D) * scale; dQ = dS K, dK = dS^T Q, dV = P^T dO.
template <int HeadDim, int Group, class T>
inline void attention_tile_backward(std::int64_t rows, std::int32_t const* document_start, head_view<T> q,
                                    head_view<T> k, head_view<T> v, head_view<T const> out, float const* log_sum_exp,
                                    std::int64_t log_sum_exp_stride, head_view<float const> d_out, float* room) {
  float const scale = 1.f / std::sqrt(float(HeadDim));
  float* const p = room;
  float* const d_s = p + query_block * rows;
  float* const wide_k = d_s + query_block * rows;
  float* const wide_v = wide_k + rows * HeadDim;
  float* const d_k = wide_v + rows * HeadDim;
  float* const d_v = d_k + rows * HeadDim;
  float* const wide_q = d_v + rows * HeadDim;
  float* const d_q = wide_q + query_block * HeadDim;
  float* const wide_out = d_q + query_block * HeadDim;
  std::fill(d_k, d_k + 2 * rows * HeadDim, 0.f);
  auto const k32 = as_fp32<HeadDim>(k, 0, rows, wide_k), v32 = as_fp32<HeadDim>(v, 0, rows, wide_v);

  for (int g = 0; g < Group; ++g) {
    head_view<T> const qg{q.data + g * HeadDim, q.stride};
    head_view<float const> const dog{d_out.data + g * HeadDim, d_out.stride};
    for (std::int64_t first = 0; first < rows; first += query_block) {
      std::int64_t const last = std::min(first + query_block, rows), n = last - first;
      std::int64_t const lowest = document_start[first], width = last - lowest;
      auto const q32 = as_fp32<HeadDim>(qg, first, last, wide_q);
      gemm(op::none, op::transpose, n, width, HeadDim, q32.data, q32.stride, k32.row(lowest), k32.stride, 0.f, p,
           width);
      gemm(op::none, op::transpose, n, width, HeadDim, dog.row(first), dog.stride, v32.row(lowest), v32.stride, 0.f,
           d_s, width);
      for (std::int64_t i = 0; i < n; ++i) {
        widen(out.row(first + i) + g * HeadDim, wide_out, HeadDim);
        float const projection = dot(dog.row(first + i), wide_out, HeadDim);
        std::int64_t const from = document_start[first + i] - lowest, to = first + i + 1 - lowest;
        float *const p_row = p + i * width, *const s_row = d_s + i * width;
        vec const shift(log_sum_exp[(first + i) * log_sum_exp_stride + g]), mean(projection), factor(scale);
        for_registers(to - from, [&](std::int64_t j, std::int64_t c) {
          auto const probability = (load(p_row + from + j, c) * factor - shift).exp();
          store(probability, p_row + from + j, c);
          store(probability * (load(s_row + from + j, c) - mean) * factor, s_row + from + j, c);
        });
        for (float* row : {p_row, s_row}) std::fill(row, row + from, 0.f), std::fill(row + to, row + width, 0.f);
      }
      gemm(op::transpose, op::none, width, HeadDim, n, p, width, dog.row(first), dog.stride, 1.f,
           d_v + lowest * HeadDim, HeadDim);
      gemm(op::transpose, op::none, width, HeadDim, n, d_s, width, q32.data, q32.stride, 1.f, d_k + lowest * HeadDim,
           HeadDim);
      gemm(op::none, op::none, n, HeadDim, width, d_s, width, k32.row(lowest), k32.stride, 0.f, d_q, HeadDim);
      for (std::int64_t i = 0; i < n; ++i) narrow(d_q + i * HeadDim, qg.row(first + i), HeadDim);
    }
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    narrow(d_k + r * HeadDim, k.row(r), HeadDim);
    narrow(d_v + r * HeadDim, v.row(r), HeadDim);
  }
}

}  // namespace tenon::exec::cpu
