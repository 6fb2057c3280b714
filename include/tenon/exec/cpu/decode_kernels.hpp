#pragma once
#include "tenon/exec/cpu/attention_panels.hpp"
#include "tenon/exec/cpu/work.hpp"

/// Kernels for a few rows at a time, as in decoding: bound by memory, so each weight, key and value is read once from
/// where it lies and nothing is packed.
namespace tenon::exec::cpu::inline CPU_CAPABILITY {

inline constexpr std::int64_t few_rows = 8;        ///< products of at most so many rows go this way
inline constexpr std::int64_t few_rows_task = 64;  ///< outputs that a member takes at a time

/// out[i][j] = (add ? out[i][j] : 0) + in[i] . w[j] for `rows` rows and outputs [first, last) of a weight [N, K]. The
/// order of a sum depends on K alone.
template <class T, class Out>
void few_rows_product(std::int64_t rows, std::int64_t first, std::int64_t last, std::int64_t k, T const* in, T const* w,
                      Out* out, std::int64_t out_stride, bool add) {
  work::product(rows, last - first, k);
  constexpr std::int64_t sums = 4, whole = sums * lanes;  // sums enough that none waits for the one before
  constexpr std::int64_t ahead = 4096 / sizeof(T);        // the hardware's own prefetching stops at a page's end
  for (std::int64_t j = first; j < last; ++j) {
    T const* const line = w + j * k;  // one line after the other: one stream, which the memory system runs ahead of
    for (std::int64_t i = 0; i < rows; ++i) {  // the line stays in the first cache
      T const* const x = in + i * k;
      vec sum[sums];
      for (auto& s : sum) s = vec(0.f);
      std::int64_t p = 0;
      for (; p + whole <= k; p += whole)
        for (std::int64_t s = 0; s < sums; ++s) {
          __builtin_prefetch(line + p + s * lanes + ahead);
          sum[s] = at::vec::fmadd(load(x + p + s * lanes, lanes), load(line + p + s * lanes, lanes), sum[s]);
        }
      for (; p < k; p += lanes) {
        auto const count = std::min(lanes, k - p);
        sum[0] = at::vec::fmadd(load(x + p, count), load(line + p, count), sum[0]);
      }
      Out& to = out[i * out_stride + j];
      to = nn::narrow<Out>((add ? nn::widen(to) : 0.f) + sum_lanes((sum[0] + sum[1]) + (sum[2] + sum[3])));
    }
  }
}

/// Attention of one query row of one head over keys [from, to). `scores`: room for to - from floats.
template <int HeadDim, class T>
void attention_row(T const* q, head_view<T const> k, head_view<T const> v, std::int64_t from, std::int64_t to, T* out,
                   float* scores) {
  constexpr std::int64_t registers = (HeadDim + lanes - 1) / lanes;
  work::attend(2, to - from, HeadDim);
  auto const each_register = [](auto&& f) {
    for (std::int64_t r = 0; r < registers; ++r) f(r, r * lanes, std::min<std::int64_t>(lanes, HeadDim - r * lanes));
  };
  vec query[registers], mixed[registers];
  vec const scale(1.f / std::sqrt(float(HeadDim)));
  each_register([&](auto r, auto at, auto count) { query[r] = load(q + at, count) * scale, mixed[r] = vec(0.f); });
  for (auto key = from; key < to; ++key) {
    vec sum(0.f);
    each_register(
        [&](auto r, auto at, auto count) { sum = at::vec::fmadd(query[r], load(k.row(key) + at, count), sum); });
    scores[key - from] = sum_lanes(sum);
  }
  auto const n = to - from;
  float const total = exp_sum(scores, n, max_of(scores, n));
  for (std::int64_t key = 0; key < n; ++key) {
    vec const p(scores[key] / total);
    each_register([&](auto r, auto at, auto count) {
      mixed[r] = at::vec::fmadd(p, load(v.row(from + key) + at, count), mixed[r]);
    });
  }
  each_register([&](auto r, auto at, auto count) { store(mixed[r], out + at, count); });
}

}  // namespace tenon::exec::cpu::inline CPU_CAPABILITY
