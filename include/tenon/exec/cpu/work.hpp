#pragma once
#include <atomic>
#include <cstdint>

#if !defined(TENON_COUNT_WORK)
#define TENON_COUNT_WORK 0
#endif

namespace tenon::exec::cpu {

/// Multiply-adds, counted where the kernels make them: the proof of the plan's FLOPs. Only a program that is built with
/// TENON_COUNT_WORK=1 counts; in every other one the calls are empty and leave no code. The definition must be the
/// same for a whole program.
struct work {
#if TENON_COUNT_WORK
  static inline std::atomic<std::int64_t> products{0};   ///< of matrix products
  static inline std::atomic<std::int64_t> attention{0};  ///< between rows and the keys that they see
#endif
  /// A product [m, k] x [k, n] was made.
  static void product([[maybe_unused]] std::int64_t m, [[maybe_unused]] std::int64_t n,
                      [[maybe_unused]] std::int64_t k) {
#if TENON_COUNT_WORK
    products += m * n * k;
#endif
  }
  /// A row met `keys` keys of a head in `count` products.
  static void attend([[maybe_unused]] int count, [[maybe_unused]] std::int64_t keys,
                     [[maybe_unused]] std::int64_t head_dim) {
#if TENON_COUNT_WORK
    attention += count * keys * head_dim;
#endif
  }
};

}  // namespace tenon::exec::cpu
