#pragma once
#include <algorithm>
#include <cstdint>

#include "tenon/exec/workspace.hpp"
#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

namespace tenon::exec::count {

/// Operations of latent attention, routed experts and multi-token prediction, on paper. `X`: the counting executor, which adds them up.
/// Experts are counted as if rows were spread evenly; how they are changes no byte and no operation, only which expert
/// does it.
template <class X>
class family_operations {
 public:
  constexpr void next_row(nn::micro_batch const& b, nn::rows<std::int32_t, 1>, nn::rows<std::int32_t, 1>) {
    self().pass(0, 20 * b.num_rows());
  }
  template <class T, int N>
  constexpr void widen(std::int64_t n, nn::rows<T, N>, nn::rows<float, N>) {
    self().pass(0, (4 + std::int64_t(sizeof(T))) * n * N);
  }
  template <int Half, class T, int N>
  constexpr void place(std::int64_t n, nn::rows<T, N>, nn::rows<T, 2 * N>) {
    self().pass(0, 2 * std::int64_t(sizeof(T)) * n * N);
  }
  template <int Half, class T, int N>
  constexpr void take(std::int64_t n, nn::rows<T, 2 * N>, nn::rows<T, N>) {
    self().pass(0, 2 * std::int64_t(sizeof(T)) * n * N);
  }
  template <class T, int Rank, int Turned>
  constexpr void keep_latents(nn::micro_batch const& b, nn::rows<T, Rank>, nn::rows<T, Turned>) {
    if (b.cache_row != nullptr) self().pass(0, 2 * std::int64_t(sizeof(T)) * b.num_rows() * (Rank + Turned));
  }
  template <int Width, int Turned, class T, int N>
  constexpr void rotary_pairs(nn::micro_batch const& b, nn::rows<T, N>, int) {
    auto const turned = b.num_rows() * (N / Width) * Turned;
    self().pass(3 * turned, 2 * std::int64_t(sizeof(T)) * turned);
  }
  template <int Heads, int Nope, int Turned, int Value, class T>
  constexpr void latent_keys(std::int64_t n, nn::rows<T, Heads*(Nope + Value)>, nn::rows<T, Turned>,
                             nn::rows<T, Heads*(Nope + Turned)>) {
    self().pass(0, 2 * std::int64_t(sizeof(T)) * n * Heads * (Nope + Turned));
  }
  template <int Heads, int Nope, int Turned, int Value, class T>
  constexpr void latent_keys_backward(std::int64_t n, nn::rows<T, Heads*(Nope + Turned)>,
                                      nn::rows<T, Heads*(Nope + Value)>, nn::rows<T, Turned>) {
    self().pass(n * Heads * Turned, 2 * std::int64_t(sizeof(T)) * n * Heads * (Nope + Turned));
  }
  template <int Heads, int Nope, int Turned, int Value, class T>
  constexpr void latent_attention(nn::micro_batch const& b, nn::rows<T, Heads*(Nope + Turned)>,
                                  nn::rows<T, Heads*(Nope + Turned)>, nn::rows<T, Heads*(Nope + Value)>,
                                  nn::rows<T, Heads * Value>, nn::rows<float, Heads>, float) {
    constexpr std::int64_t dim = Nope + Turned;
    self().attend(2 * X::pairs(b) * Heads * (dim + Value),
                  std::int64_t(sizeof(T)) * b.num_rows() * Heads * 2 * (dim + Value));
    self().other_flops += 5 * X::pairs(b) * Heads;
    reserve(attention_workspace(b.sequence, std::max<std::int64_t>(dim, Value)));
  }
  template <int Heads, int Nope, int Turned, int Value, class T>
  constexpr void latent_attention_backward(nn::micro_batch const& b, nn::rows<T, Heads*(Nope + Turned)>,
                                           nn::rows<T, Heads*(Nope + Turned)>, nn::rows<T, Heads*(Nope + Value)>,
                                           nn::rows<T, Heads * Value>, nn::rows<float, Heads>,
                                           nn::rows<float, Heads * Value>, float) {
    constexpr std::int64_t dim = Nope + Turned;
    self().attend(2 * X::pairs(b) * Heads * (3 * dim + 2 * Value),  // scores again, dQ, dK; dP, dV
                  b.num_rows() * Heads * (std::int64_t(sizeof(T)) * (4 * dim + 3 * Value) + 4 * Value));
    self().other_flops += 7 * X::pairs(b) * Heads;
    reserve(attention_workspace(b.sequence, std::max<std::int64_t>(dim, Value)));
  }
  template <int Heads, int Nope, int Turned, int Value, class T, int Rank, nn::role R, nn::initializer I, int D>
  constexpr void latent_decode(nn::micro_batch const& b, nn::rows<T, Heads*(Nope + Turned)>,
                               nn::weight<T, Heads*(Nope + Value), Rank, R, I, D> const&, nn::rows<T, Rank>,
                               nn::rows<T, Turned>, nn::rows<T, Heads * Value>, float) {
    self().attend(2 * Heads * (X::pairs(b) * (2 * Rank + Turned) + b.num_rows() * Rank * (Nope + Value)),
                  std::int64_t(sizeof(T)) * (X::keys(b) * (Rank + Turned) + Heads * (Nope + Value) * Rank));
    reserve(2 * Rank + Turned + b.past + b.sequence);
  }

  template <class R>
  constexpr void route(std::int64_t n, nn::rows<float, R::experts>, float const*, nn::rows<std::int32_t, R::chosen>,
                       nn::rows<float, R::chosen>, bool) {
    self().pass(5 * n * R::experts, 8 * n * R::experts);
  }
  template <class R>
  constexpr void balance(nn::micro_batch const& b, nn::rows<float, R::experts>, nn::rows<std::int32_t, R::chosen>,
                         nn::rows<float, R::experts>) {
    self().pass(2 * b.num_rows() * R::experts, 4 * b.num_rows() * R::experts);
  }
  template <class R, class T>
  constexpr void route_backward(nn::micro_batch const& b, nn::rows<float, R::experts>,
                                nn::rows<std::int32_t, R::chosen>, nn::rows<float, R::chosen>,
                                nn::rows<float, R::experts>, nn::rows<T, R::experts>) {
    self().pass(6 * b.num_rows() * R::experts, (4 + std::int64_t(sizeof(T))) * b.num_rows() * R::experts);
  }
  template <class R>
  constexpr void sort_by_expert(std::int64_t n, nn::rows<std::int32_t, R::chosen>, nn::rows<std::int32_t, R::chosen>,
                                nn::rows<std::int32_t, R::chosen>, nn::block<std::int32_t, 1, R::experts + 1>) {
    self().pass(0, 16 * n * R::chosen);
  }
  template <int Chosen, class T, int N>
  constexpr void spread(std::int64_t n, nn::rows<T, N>, nn::rows<std::int32_t, Chosen>, nn::rows<T, N>) {
    self().pass(0, std::int64_t(sizeof(T)) * n * N * (1 + Chosen));
  }
  template <int N, class Sink>
  constexpr void count_rows(nn::block<std::int32_t, 1, N>, Sink const&) {}

  template <class T, int N, int K, int E, nn::role R, nn::initializer I, int D>
  constexpr void expert_linear(std::int64_t sorted, nn::block<std::int32_t, 1, E>, nn::rows<T, K>,
                               nn::stack<nn::weight<T, N, K, R, I, D>> const&, nn::rows<T, N>) {
    product<T>(sorted, N, K, E - 1, std::int64_t(sizeof(T)) * sorted * N);
  }
  template <int Chosen, class T, int N, int K, int E, nn::role R, nn::initializer I, int D>
  constexpr void expert_linear_add(std::int64_t sorted, nn::block<std::int32_t, 1, E>, nn::rows<std::int32_t, Chosen>,
                                   nn::rows<T, K>, nn::stack<nn::weight<T, N, K, R, I, D>> const&,
                                   nn::rows<float, N>) {
    product<T>(sorted, N, K, E - 1, 8 * sorted * N);
  }
  template <class T, int N, int K, int E, nn::role R, nn::initializer I, int D>
  constexpr void expert_linear_backward_input(std::int64_t sorted, nn::block<std::int32_t, 1, E>, nn::rows<T, N>,
                                              nn::stack<nn::weight<T, N, K, R, I, D>> const&, nn::rows<float, K>) {
    product<T>(sorted, N, K, E - 1, 4 * sorted * K);
  }
  template <int Chosen, class T, int N, int K, int E, nn::role R, nn::initializer I, int D>
  constexpr void expert_linear_backward_input_add(std::int64_t sorted, nn::block<std::int32_t, 1, E>,
                                                  nn::rows<std::int32_t, Chosen>, nn::rows<T, N>,
                                                  nn::stack<nn::weight<T, N, K, R, I, D>> const&,
                                                  nn::rows<float, K>) {
    product<T>(sorted, N, K, E - 1, 8 * sorted * K);
  }
  template <class T, int N, int K, int E, nn::role R, nn::initializer I, int D>
  constexpr void expert_linear_backward_weight(std::int64_t sorted, nn::block<std::int32_t, 1, E>, nn::rows<T, N>,
                                               nn::rows<T, K>, nn::stack<nn::gradient<N, K, R, I, D>> const&) {
    product<T>(sorted, N, K, 0, 4 * std::int64_t{E - 1} * N * K + std::int64_t(sizeof(T)) * sorted * (N + K));
  }
  template <int Chosen, class T, int N>
  constexpr void expert_swiglu(std::int64_t sorted, nn::rows<T, N>, nn::rows<T, N>, nn::rows<std::int32_t, Chosen>,
                               nn::rows<float, Chosen>, nn::rows<T, N>) {
    self().pass(6 * sorted * N, 3 * std::int64_t(sizeof(T)) * sorted * N);
  }
  template <int Chosen, class T, int N>
  constexpr void expert_swiglu_backward(std::int64_t sorted, nn::rows<float, N>, nn::rows<T, N>, nn::rows<T, N>,
                                        nn::rows<std::int32_t, Chosen>, nn::rows<float, Chosen>,
                                        nn::rows<float, Chosen>) {
    self().pass(15 * sorted * N, (4 + 4 * std::int64_t(sizeof(T))) * sorted * N);
  }

 private:
  constexpr X& self() { return static_cast<X&>(*this); }
  constexpr void reserve(std::int64_t floats) { self().workspace = std::max(self().workspace, floats); }
  /// A product of `rows` rows with one of `matrices` matrices each; `bytes` go to memory beside operands.
  template <class T>
  constexpr void product(std::int64_t rows, std::int64_t n, std::int64_t k, std::int64_t matrices, std::int64_t bytes) {
    self().gemm_flops += 2 * rows * n * k;
    self().spend(2 * rows * n * k, self().rates.products,
                 bytes + std::int64_t(sizeof(T)) * (matrices == 0 ? 0 : rows * (n < k ? k : n) + matrices * n * k));
    reserve(linear_workspace(0, 0));
  }
};

}  // namespace tenon::exec::count
