#pragma once
#include <cstdint>
#include <string>

/// Numbers that a golden file does not hold because both sides compute them (`mixed` and `values` of parity.py).
namespace hashed {

/// 24 bits, a function of (name, salt, index).
inline std::int32_t mixed(std::string const& name, std::uint64_t index, std::uint64_t salt) {
  std::uint32_t h = 2166136261u;
  for (char const c : name) h = (h ^ std::uint8_t(c)) * 16777619u;
  std::uint32_t x = std::uint32_t(index * 2654435761u + h + salt * 40503u);
  x ^= x >> 16, x *= 2246822507u;
  x ^= x >> 13, x *= 3266489909u;
  return std::int32_t((x ^ x >> 16) >> 8);
}
/// A weight: norms 1 +- 1/4, a router's bias +- 1/4, the embedding +- 1, all else +- 1/2.
inline float value(std::string const& name, std::uint64_t index, std::uint64_t salt) {
  float const f = float(mixed(name, index, salt)) * 0x1p-23f - 1.f;
  auto const has = [&](char const* part) { return name.find(part) != name.npos; };
  return has("norm") ? 1.f + f * 0.25f : has("bias") ? f * 0.25f : has("embed") ? f : f * 0.5f;
}

}  // namespace hashed
