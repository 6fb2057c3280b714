#pragma once
#include "tenon/exec/cpu/attention_panels.hpp"
#include "tenon/exec/cpu/work.hpp"
#include "tenon/nn/context.hpp"

/// Attention of one key/value head over one sample, forward and backward, without a T x T buffer: blocks of query rows
/// against the keys that they may see, in products of our own that stop at the diagonal. Scores and probabilities are
/// fp32. After Dao et al. 2022 (arXiv 2205.14135) the backward pass rebuilds the probabilities from the saved
/// log-sum-exp.
namespace tenon::exec::cpu::inline CPU_CAPABILITY {

/// One tile: `queries` rows per query head starting at row `past` of the keys; `Group` query heads share the key head.
/// Queries and keys are HeadDim wide, values and results ValueDim. Scores are multiplied by `scale`.
/// Row i sees keys document_start[i] .. past + i. `room`: attention_workspace floats. `log_sum_exp` is null where no
/// backward pass follows.
template <int HeadDim, int ValueDim, int Group, class T>
void attention_tile(std::int64_t queries, std::int64_t past, std::int32_t const* document_start, head_view<T const> q,
                    head_view<T const> k, head_view<T const> v, head_view<T> out, float* log_sum_exp,
                    std::int64_t log_sum_exp_stride, float scale, float* room) {
  std::int64_t const keys = past + queries, stride = score_stride(keys);
  float* const scores = room;
  float* const wide = scores + query_block * stride;
  float* const query = wide + query_block * std::max(HeadDim, ValueDim);
  float* const mixed = query + query_block * HeadDim;
  score_panels<HeadDim> const key_panels{mixed + query_block * ValueDim};
  head_panels<ValueDim> const values{key_panels.data + (keys + tile_columns) * HeadDim, keys};
  key_panels.pack(k, keys, wide);
  values.pack(v, keys, wide);
  float inverse[query_block];

  for (int g = 0; g < Group; ++g) {
    for (std::int64_t first = 0; first < queries; first += query_block) {
      std::int64_t const last = std::min<std::int64_t>(first + query_block, queries), n = last - first;
      std::int64_t const base = document_start[first] / tile_columns * tile_columns, diagonal = past + first;
      for (std::int64_t i = 0; i < n; ++i) {
        widen(q.row(first + i) + g * HeadDim, query + i * HeadDim, HeadDim);
        scale_row(query + i * HeadDim, HeadDim, scale);
      }
      key_panels.multiply(base, past + last, diagonal, query, n, scores, stride);
      for (std::int64_t i = 0; i < n; ++i) {
        float* const row = scores + i * stride;
        std::int64_t const from = document_start[first + i] - base, to = diagonal + i + 1 - base;
        work::attend(2, to - from, HeadDim);  // scores, mixture
        float const top = max_of(row + from, to - from), sum = exp_sum(row + from, to - from, top);
        if (log_sum_exp != nullptr) log_sum_exp[(first + i) * log_sum_exp_stride + g] = top + std::log(sum);
        inverse[i] = 1.f / sum;
        mask_row(row, from, to);
      }
      for (std::int64_t i = 0; i < n; i += tile_rows) {
        auto const rows = std::min<std::int64_t>(tile_rows, n - i);
        values.template multiply<left_form::along_k>(base, diagonal + i + rows - base, {scores + i * stride, stride},
                                                     rows, {mixed + i * ValueDim, ValueDim, nullptr, 0});
      }
      for (std::int64_t i = 0; i < n; ++i) {
        scale_row(mixed + i * ValueDim, ValueDim, inverse[i]);
        narrow(mixed + i * ValueDim, out.row(first + i) + g * ValueDim, ValueDim);
      }
    }
  }
}

/// Gradients of one tile: q, k and v are replaced by theirs. With P the probabilities, dP = dO V^T and
/// D_i = sum_j P_ij dP_ij = dO_i . O_i: dS = P * (dP - D) * scale; dQ = dS K, dK = dS^T Q, dV = P^T dO.
template <int HeadDim, int ValueDim, int Group, class T>
void attention_tile_backward(std::int64_t rows, std::int32_t const* document_start, head_view<T> q, head_view<T> k,
                             head_view<T> v, head_view<T const> out, float const* log_sum_exp,
                             std::int64_t log_sum_exp_stride, head_view<float const> d_out, float scale, float* room) {
  using head = head_panels<HeadDim>;
  using value_head = head_panels<ValueDim>;
  constexpr int widest = std::max(HeadDim, ValueDim);
  std::int64_t const stride = score_stride(rows);
  float* const p = room;
  float* const d_s = p + query_block * stride;
  float* const wide = d_s + query_block * stride;
  float* const query = wide + query_block * widest;  // Q * scale
  float* const d_o = query + query_block * HeadDim;
  float* const d_q = d_o + query_block * ValueDim;
  head const query_panels{d_q + query_block * HeadDim, query_block};
  value_head const d_o_panels{query_panels.data + query_block * head::count * head::width, query_block};
  float* const d_k = d_o_panels.data + query_block * value_head::count * value_head::width;
  float* const d_v = d_k + rows * HeadDim;
  score_panels<HeadDim> const key_panels{d_v + rows * ValueDim};
  score_panels<ValueDim> const value_panels{key_panels.data + (rows + tile_columns) * HeadDim};
  head const keys{value_panels.data + (rows + tile_columns) * ValueDim, rows};
  std::fill(d_k, d_k + rows * (HeadDim + ValueDim), 0.f);
  key_panels.pack(k, rows, wide);
  value_panels.pack(v, rows, wide);
  keys.pack(k, rows, wide);

  for (int g = 0; g < Group; ++g) {
    for (std::int64_t first = 0; first < rows; first += query_block) {
      std::int64_t const last = std::min<std::int64_t>(first + query_block, rows), n = last - first;
      std::int64_t const base = document_start[first] / tile_columns * tile_columns;
      for (std::int64_t i = 0; i < n; ++i) {
        widen(q.row(first + i) + g * HeadDim, query + i * HeadDim, HeadDim);
        scale_row(query + i * HeadDim, HeadDim, scale);
        widen(d_out.row(first + i) + g * ValueDim, d_o + i * ValueDim, ValueDim);
      }
      query_panels.pack(head_view<float>{query, HeadDim}, n, wide);
      d_o_panels.pack(head_view<float>{d_o, ValueDim}, n, wide);
      key_panels.multiply(base, last, first, query, n, p, stride);
      value_panels.multiply(base, last, first, d_o, n, d_s, stride);
      for (std::int64_t i = 0; i < n; ++i) {
        widen(out.row(first + i) + g * ValueDim, wide, ValueDim);
        std::int64_t const from = document_start[first + i] - base, to = first + i + 1 - base;
        work::attend(5, to - from, HeadDim);  // scores, dP, dV, dK, dQ
        float *const p_row = p + i * stride, *const s_row = d_s + i * stride;
        vec const shift(log_sum_exp[(first + i) * log_sum_exp_stride + g]), mean(dot(d_o + i * ValueDim, wide, ValueDim));
        for_registers(to - from, [&](std::int64_t j, std::int64_t c) {
          auto const probability = exponential(load(p_row + from + j, c) - shift);
          store(probability, p_row + from + j, c);
          store(probability * (load(s_row + from + j, c) - mean), s_row + from + j, c);
        });
        mask_row(p_row, from, to), mask_row(s_row, from, to);
      }
      for (auto key = base; key < last; key += tile_rows) {  // rows of dK and dV: the queries from the diagonal on
        auto const seen_from = std::max<std::int64_t>(0, key - first),
                   count = std::min<std::int64_t>(tile_rows, last - key);
        auto const column = seen_from * stride + key - base;
        float *const dk = d_k + key * HeadDim, *const dv = d_v + key * ValueDim;
        d_o_panels.template multiply<left_form::along_lines>(seen_from, n - seen_from, {p + column, stride}, count,
                                                             {dv, ValueDim, dv, ValueDim});
        query_panels.template multiply<left_form::along_lines>(seen_from, n - seen_from, {d_s + column, stride}, count,
                                                               {dk, HeadDim, dk, HeadDim});
      }
      for (std::int64_t i = 0; i < n; i += tile_rows) {
        auto const count = std::min<std::int64_t>(tile_rows, n - i);
        keys.template multiply<left_form::along_k>(base, first + i + count - base, {d_s + i * stride, stride}, count,
                                                   {d_q + i * HeadDim, HeadDim, nullptr, 0});
      }
      for (std::int64_t i = 0; i < n; ++i) {
        scale_row(d_q + i * HeadDim, HeadDim, scale);
        narrow(d_q + i * HeadDim, q.row(first + i) + g * HeadDim, HeadDim);
      }
    }
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    narrow(d_k + r * HeadDim, k.row(r), HeadDim);
    narrow(d_v + r * ValueDim, v.row(r), ValueDim);
  }
}

}  // namespace tenon::exec::cpu::inline CPU_CAPABILITY
