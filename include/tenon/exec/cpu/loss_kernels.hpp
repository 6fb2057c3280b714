#pragma once
#include "tenon/exec/cpu/vector.hpp"

namespace tenon::exec::cpu::inline CPU_CAPABILITY {

/// Largest value of a row.
inline float max_of(float const* x, std::int64_t n) {
  vec top(-std::numeric_limits<float>::infinity());
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) top = at::vec::maximum(top, vec::loadu(x + i));
  float m = max_lanes(top);
  for (auto rest = n % lanes; rest > 0; --rest, ++i) m = m < x[i] ? x[i] : m;
  return m;
}

/// exp(x - shift) in place; returns the sum.
inline float exp_sum(float* x, std::int64_t n, float shift) {
  vec const s(shift);
  return reduce_sum(n, [&](std::int64_t i, std::int64_t c) {
    store(exponential(load(x + i, c) - s), x + i, c);
    return load(x + i, c);  // zero beyond the end
  });
}

/// -log softmax(logits)[target]. Destroys the logits.
inline float cross_entropy_row(float* logits, std::int64_t vocab, std::int32_t target) {
  float const top = max_of(logits, vocab), chosen = logits[target];
  return std::log(exp_sum(logits, vocab, top)) + top - chosen;
}

/// The same, and the gradient seed * (softmax(logits) - onehot(target)) in `d_logits`, which may be the logits' own
/// memory.
template <class T>
inline float cross_entropy_row_gradient(float* logits, std::int64_t vocab, std::int32_t target, float seed,
                                        T* d_logits) {
  float const top = max_of(logits, vocab), chosen = logits[target];
  float const sum = exp_sum(logits, vocab, top);
  float const scale = seed / sum;
  for_registers(vocab, [&](std::int64_t i, std::int64_t c) { store(load(logits + i, c) * vec(scale), logits + i, c); });
  logits[target] -= seed;
  if constexpr (!std::is_same_v<T, float>) narrow(logits, d_logits, vocab);
  return std::log(sum) + top - chosen;
}

}  // namespace tenon::exec::cpu::inline CPU_CAPABILITY
