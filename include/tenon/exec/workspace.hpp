#pragma once
#include <cstdint>

/// Private memory that one member of the team needs inside an operation. Shared by the executor that allocates it and
/// the executor that counts it, so the two cannot drift.
namespace tenon::exec {

inline constexpr int conversion_rows = 64;  ///< rows of a GEMM's fp32 result that are narrowed at a time
inline constexpr int query_block = 64;      ///< query rows that attention handles at a time

/// Floats for `linear` with a 16-bit result of `width` columns.
constexpr std::int64_t linear_workspace(std::int64_t width) { return conversion_rows * width; }

/// Floats for attention, forward and backward, over `keys` rows with heads of width `head_dim`.
constexpr std::int64_t attention_workspace(std::int64_t keys, std::int64_t head_dim) {
  return 2 * query_block * keys + 4 * keys * head_dim + 4 * query_block * head_dim;
}

}  // namespace tenon::exec
