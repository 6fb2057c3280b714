#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace tenon {

/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): a counter-based generator. The
/// same key and counter give the same four words on every machine, whoever asks.
constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    std::uint64_t const a = 0xD2511F53ull * counter[0], b = 0xCD9E8D57ull * counter[2];
    counter = {std::uint32_t(b >> 32) ^ counter[1] ^ key[0], std::uint32_t(b),
               std::uint32_t(a >> 32) ^ counter[3] ^ key[1], std::uint32_t(a)};
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
  }
  return counter;
}

/// FNV-1a, 64 bits: turns a name into part of a key.
constexpr std::uint64_t hash_name(std::string_view name) {
  std::uint64_t h = 0xcbf29ce484222325ull;
  for (char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return h;
}

/// Random numbers of one named use (a parameter, the sampler) at one step: a function of (seed, name, step, index)
/// alone, so that threads and sharding cannot change them.
class random_stream {
 public:
  constexpr random_stream(std::uint64_t seed, std::string_view name, std::uint64_t step = 0)
      : key_{std::uint32_t(seed), std::uint32_t(seed >> 32)}, name_(hash_name(name) + 0x9E3779B97F4A7C15ull * step) {}

  constexpr std::array<std::uint32_t, 4> words(std::uint64_t index) const {
    return philox({std::uint32_t(index), std::uint32_t(index >> 32), std::uint32_t(name_), std::uint32_t(name_ >> 32)},
                  key_);
  }
  /// Uniform in [0, 1), 53 bits.
  constexpr double uniform(std::uint64_t index) const {
    auto const w = words(index);
    return double((std::uint64_t{w[0]} << 32 | w[1]) >> 11) * 0x1p-53;
  }
  /// Standard normal (Box and Muller 1958).
  double normal(std::uint64_t index) const {
    auto const w = words(index);
    double const u = (double((std::uint64_t{w[0]} << 32 | w[1]) >> 11) + 1) * 0x1p-53;  // (0, 1]
    double const v = double((std::uint64_t{w[2]} << 32 | w[3]) >> 11) * 0x1p-53;
    return std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586476925 * v);
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::uint64_t name_;
};

}  // namespace tenon
