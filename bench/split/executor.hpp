#pragma once
#include <utility>

#include <tenon/exec/cpu/executor.hpp>

#include "split/clock.hpp"

namespace split {

/// tenon's executor with a clock around each operation. One that is not named here counts as rest.
template <class Compute>
class executor : public tenon::exec::cpu::executor<Compute> {
  using plain = tenon::exec::cpu::executor<Compute>;

 public:
  executor(plain const& x) : plain(x) {}

#define TENON_SPLIT(operation, what)                              \
  template <auto... I, class... A>                                \
  auto operation(A&&... a) const {                                \
    in const is(what);                                            \
    return call##operation<I...>(std::forward<A>(a)...);          \
  }                                                               \
  template <auto... I, class... A>                                \
  auto call##operation(A&&... a) const {                          \
    if constexpr (sizeof...(I) == 0)                              \
      return plain::operation(std::forward<A>(a)...);             \
    else                                                          \
      return plain::template operation<I...>(std::forward<A>(a)...); \
  }
  TENON_SPLIT(linear, gemm)
  TENON_SPLIT(linear_add, gemm)
  TENON_SPLIT(linear_backward_input, gemm)
  TENON_SPLIT(linear_backward_weight, gemm)
  TENON_SPLIT(attention, category::attention)
  TENON_SPLIT(attention_backward, category::attention)
  TENON_SPLIT(copy, elementwise)
  TENON_SPLIT(zero, elementwise)
  TENON_SPLIT(convert, elementwise)
  TENON_SPLIT(rmsnorm, elementwise)
  TENON_SPLIT(rmsnorm_backward, elementwise)
  TENON_SPLIT(add_tiles, elementwise)
  TENON_SPLIT(swiglu, elementwise)
  TENON_SPLIT(swiglu_backward, elementwise)
  TENON_SPLIT(rotary, elementwise)
  TENON_SPLIT(embedding, elementwise)
  TENON_SPLIT(embedding_backward, elementwise)
  TENON_SPLIT(cross_entropy, loss)
  TENON_SPLIT(cross_entropy_gradient, loss)
#undef TENON_SPLIT
};

}  // namespace split
