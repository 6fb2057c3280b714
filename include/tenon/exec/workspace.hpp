#pragma once
#include <algorithm>
#include <cstdint>

/// Memory that the executor needs inside an operation, private to a member or shared by the team. Shared by the
/// executor that allocates it and the executor that counts it, so the two cannot drift. In floats; the same for every
/// instruction set.
namespace tenon::exec {

inline constexpr int conversion_rows = 64;  ///< rows of a GEMM's fp32 result that are narrowed at a time
inline constexpr int query_block = 64;      ///< query rows that attention handles at a time

inline constexpr std::int64_t product_depth = 512;   ///< words of k that a product sums before it goes to memory
inline constexpr std::int64_t product_lines = 2048;  ///< lines of the left operand that are packed at a time
inline constexpr std::int64_t panel_lines = 48;      ///< columns of the widest panel

/// Shared floats for the packed left operand of a product with `lines` lines of `k`. A 16-bit result (`narrow`) takes
/// all of k at once.
constexpr std::int64_t product_workspace(std::int64_t lines, std::int64_t k, bool narrow) {
  return std::min((lines + 7) / 8 * 8, product_lines) * (narrow ? k : std::min(k, product_depth));
}

inline constexpr std::int64_t small_product = 1
                                              << 15;  ///< floats of a packed left operand that a member keeps to itself

/// Floats for `linear` with a 16-bit result of `width` columns out of `k`: converted rows where the library multiplies,
/// a panel of columns and a small left operand where our kernel does.
constexpr std::int64_t linear_workspace(std::int64_t width, std::int64_t k) {
  return std::max(conversion_rows * width, panel_lines * std::max(k, product_depth) + small_product);
}

/// Floats from one row of attention's scores to the next: room for a panel at both ends, and no whole number of pages,
/// whose rows would meet in one set of the cache.
constexpr std::int64_t score_stride(std::int64_t keys) {
  auto const floats = (keys + 2 * panel_lines + 15) / 16 * 16;
  return floats % 1024 == 0 ? floats + 16 : floats;
}

/// Floats for attention, forward and backward, over `keys` rows with heads of width `head_dim`.
constexpr std::int64_t attention_workspace(std::int64_t keys, std::int64_t head_dim) {
  auto const panel = (head_dim + panel_lines - 1) / panel_lines * panel_lines;  // a head in whole panels
  return query_block * (2 * score_stride(keys) + 4 * head_dim + 2 * panel) + keys * (4 * head_dim + panel) +
         2 * panel_lines * head_dim;
}

}  // namespace tenon::exec
