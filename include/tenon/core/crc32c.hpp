#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tenon {
namespace detail {

static_assert(std::endian::native == std::endian::little, "tenon reads and writes little-endian files in place");

consteval std::array<std::array<std::uint32_t, 256>, 8> crc32c_tables() {
  std::array<std::array<std::uint32_t, 256>, 8> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78u : 0u);
    table[0][i] = value;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t i = 0; i < 256; ++i) table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 0xFF];
  return table;
}

inline std::uint32_t crc32c_by_table(std::uint32_t state, unsigned char const* data, std::size_t size) {
  static constexpr auto table = crc32c_tables();
  for (; size >= 8; data += 8, size -= 8) {
    std::uint32_t low, high;
    std::memcpy(&low, data, 4);
    std::memcpy(&high, data + 4, 4);
    low ^= state;
    state = table[7][low & 0xFF] ^ table[6][low >> 8 & 0xFF] ^ table[5][low >> 16 & 0xFF] ^ table[4][low >> 24] ^
            table[3][high & 0xFF] ^ table[2][high >> 8 & 0xFF] ^ table[1][high >> 16 & 0xFF] ^ table[0][high >> 24];
  }
  for (; size > 0; ++data, --size) state = (state >> 8) ^ table[0][(state ^ *data) & 0xFF];
  return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) inline std::uint32_t crc32c_by_instruction(std::uint32_t state,
                                                                             unsigned char const* data,
                                                                             std::size_t size) {
  std::uint64_t wide = state;
  for (; size >= 8; data += 8, size -= 8) {
    std::uint64_t word;
    std::memcpy(&word, data, 8);
    wide = __builtin_ia32_crc32di(wide, word);
  }
  state = static_cast<std::uint32_t>(wide);
  for (; size > 0; ++data, --size) state = __builtin_ia32_crc32qi(state, *data);
  return state;
}
#endif

}  // namespace detail

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) of `size` bytes. `previous` is the value for the bytes before
/// them, so that a long input can be taken in pieces: crc32c(b, n, crc32c(a, m)). Value of "123456789": 0xE3069283.
inline std::uint32_t crc32c(void const* data, std::size_t size, std::uint32_t previous = 0) {
  auto const* bytes = static_cast<unsigned char const*>(data);
#if defined(__x86_64__)
  static bool const has_instruction = __builtin_cpu_supports("sse4.2");
  if (has_instruction) return ~detail::crc32c_by_instruction(~previous, bytes, size);
#endif
  return ~detail::crc32c_by_table(~previous, bytes, size);
}

/// The masked form that TFRecord framing stores: rotate right by 15, add 0xA282EAD8.
inline std::uint32_t masked_crc32c(void const* data, std::size_t size) {
  std::uint32_t const value = crc32c(data, size);
  return (value >> 15 | value << 17) + 0xA282EAD8u;
}

}  // namespace tenon
