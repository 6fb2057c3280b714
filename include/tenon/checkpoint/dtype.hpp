#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::checkpoint {

/// Element types of a tensor file, in the order in which the reference writer sorts them (smallest alignment first).
enum class dtype : std::uint8_t {
  BOOL,
  U8,
  I8,
  F8_E5M2,
  F8_E4M3,
  F8_E8M0,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  C64,
  F64,
  I64,
  U64
};

struct dtype_facts {
  std::string_view name;
  std::size_t bytes;
};

/// Name in the file and bytes per element, indexed by dtype.
inline constexpr std::array<dtype_facts, 17> dtypes{{{"BOOL", 1},
                                                     {"U8", 1},
                                                     {"I8", 1},
                                                     {"F8_E5M2", 1},
                                                     {"F8_E4M3", 1},
                                                     {"F8_E8M0", 1},
                                                     {"I16", 2},
                                                     {"U16", 2},
                                                     {"F16", 2},
                                                     {"BF16", 2},
                                                     {"I32", 4},
                                                     {"U32", 4},
                                                     {"F32", 4},
                                                     {"C64", 8},
                                                     {"F64", 8},
                                                     {"I64", 8},
                                                     {"U64", 8}}};

/// "F32" and the like.
constexpr std::string_view name_of(dtype type) { return dtypes[static_cast<std::size_t>(type)].name; }
/// Bytes of one element.
constexpr std::size_t size_of(dtype type) { return dtypes[static_cast<std::size_t>(type)].bytes; }

/// The type of this name, or nothing.
constexpr std::optional<dtype> dtype_named(std::string_view name) {
  for (std::size_t i = 0; i < dtypes.size(); ++i)
    if (dtypes[i].name == name) return static_cast<dtype>(i);
  return std::nullopt;
}

/// Bytes of a tensor, or nothing if a size is negative or the product overflows 63 bits.
inline std::optional<std::uint64_t> bytes_of(dtype type, std::vector<std::int64_t> const& shape) {
  std::int64_t total = static_cast<std::int64_t>(size_of(type));
  for (std::int64_t const size : shape)
    if (size < 0 || __builtin_mul_overflow(total, size, &total)) return std::nullopt;
  return static_cast<std::uint64_t>(total);
}

/// Eight lower-case hex digits.
inline std::string hex_of(std::uint32_t value) {
  std::string text(8, '0');
  for (std::size_t i = 0; i < 8; ++i) text[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
  return text;
}

}  // namespace tenon::checkpoint
