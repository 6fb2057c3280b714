#pragma once
#include <cstdint>

/// What the pass calls in place of real kernels: one function that no compiler sees into, so that every instruction outside
/// of it is the library's own. Each call is mixed into `zero_trace`, arguments and all.
enum class op : int {
  linear, linear_add, linear_backward_input, linear_backward_weight, copy, zero, convert, rmsnorm, rmsnorm_backward,
  add_tiles, swiglu, swiglu_backward, rotary, attention, attention_backward, embedding, embedding_backward,
  cross_entropy_gradient, barrier, update
};

extern "C" {
extern std::uint64_t zero_trace, zero_calls;
void zero_kernel(op what, std::int64_t n, void const* a, void const* b, void const* c, float k);
void zero_attention(op what, std::int64_t n, void const* q, void const* k, void const* v, void const* mixed,
                    void const* log_sum_exp, void const* d_mixed);
}
