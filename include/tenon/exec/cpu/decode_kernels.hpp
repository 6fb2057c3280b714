#pragma once
#include "tenon/exec/cpu/attention_panels.hpp"

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
  constexpr int at_once = 4;
  for (std::int64_t j = first; j < last; j += at_once) {
    auto const count = std::min<std::int64_t>(at_once, last - j);
    T const* line[at_once];
    for (int c = 0; c < at_once; ++c) line[c] = w + (j + std::min<std::int64_t>(c, count - 1)) * k;
    for (std::int64_t i = 0; i < rows; ++i) {  // the weights of these outputs stay in the first cache
      vec sum[at_once];
      for (auto& s : sum) s = vec(0.f);
      for_registers(k, [&](std::int64_t p, std::int64_t c) {
        auto const x = load(in + i * k + p, c);
        for (int o = 0; o < at_once; ++o) sum[o] = at::vec::fmadd(x, load(line[o] + p, c), sum[o]);
      });
      Out* const to = out + i * out_stride + j;
      for (std::int64_t c = 0; c < count; ++c)
        to[c] = nn::narrow<Out>((add ? nn::widen(to[c]) : 0.f) + sum_lanes(sum[c]));
    }
  }
}

/// Attention of one query row of one head over keys [from, to). `scores`: room for to - from floats.
template <int HeadDim, class T>
void attention_row(T const* q, head_view<T const> k, head_view<T const> v, std::int64_t from, std::int64_t to, T* out,
                   float* scores) {
  constexpr std::int64_t registers = (HeadDim + lanes - 1) / lanes;
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
