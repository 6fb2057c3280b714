#pragma once
// SHA-256 after FIPS 180-4: a portable round function, and the processor's own instructions where it has them.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace tenon {

namespace detail {

alignas(64) inline constexpr std::uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr std::uint32_t sha256_rotate(std::uint32_t x, int n) { return (x >> n) | (x << (32 - n)); }

/// Folds `blocks` blocks of 64 bytes into `state`; plain C++.
constexpr void sha256_blocks_portable(std::uint32_t* state, std::uint8_t const* p, std::size_t blocks) {
  for (; blocks > 0; --blocks, p += 64) {
    std::uint32_t w[64]{};
    for (int i = 0; i < 16; ++i) {
      w[i] = std::uint32_t(p[4 * i]) << 24 | std::uint32_t(p[4 * i + 1]) << 16 | std::uint32_t(p[4 * i + 2]) << 8 |
             std::uint32_t(p[4 * i + 3]);
    }
    for (int i = 16; i < 64; ++i) {
      std::uint32_t const a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + w[i - 7] + (sha256_rotate(a, 7) ^ sha256_rotate(a, 18) ^ (a >> 3)) +
             (sha256_rotate(b, 17) ^ sha256_rotate(b, 19) ^ (b >> 10));
    }
    std::uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    std::uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; ++i) {
      std::uint32_t const t1 = h + (sha256_rotate(e, 6) ^ sha256_rotate(e, 11) ^ sha256_rotate(e, 25)) +
                               ((e & f) ^ (~e & g)) + sha256_k[i] + w[i];
      std::uint32_t const t2 =
          (sha256_rotate(a, 2) ^ sha256_rotate(a, 13) ^ sha256_rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
  }
}

#if defined(__x86_64__)
/// The same with the SHA instructions of the processor; call only where sha256_has_instructions().
__attribute__((target("sha,sse4.1,ssse3"))) inline void sha256_blocks_x86(std::uint32_t* state, std::uint8_t const* p,
                                                                          std::size_t blocks) {
  __m128i const swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
  __m128i low = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<__m128i const*>(state)), 0xB1);
  __m128i high = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<__m128i const*>(state + 4)), 0x1B);
  __m128i abef = _mm_alignr_epi8(low, high, 8);
  __m128i cdgh = _mm_blend_epi16(high, low, 0xF0);
  for (; blocks > 0; --blocks, p += 64) {
    __m128i const abef_before = abef, cdgh_before = cdgh;
    __m128i m[4];
    for (int i = 0; i < 4; ++i) {
      m[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p + 16 * i)), swap);
    }
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC unroll 16
#else
#pragma unroll
#endif
    for (int i = 0; i < 16; ++i) {  // four rounds each
      __m128i const wk = _mm_add_epi32(m[i & 3], _mm_load_si128(reinterpret_cast<__m128i const*>(sha256_k + 4 * i)));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0E));
      if (i < 12) {  // the schedule word group i + 4 replaces group i
        __m128i x = _mm_sha256msg1_epu32(m[i & 3], m[(i + 1) & 3]);
        x = _mm_add_epi32(x, _mm_alignr_epi8(m[(i + 3) & 3], m[(i + 2) & 3], 4));
        m[i & 3] = _mm_sha256msg2_epu32(x, m[(i + 3) & 3]);
      }
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  low = _mm_shuffle_epi32(abef, 0x1B);
  high = _mm_shuffle_epi32(cdgh, 0xB1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state), _mm_blend_epi16(low, high, 0xF0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state + 4), _mm_alignr_epi8(high, low, 8));
}

inline bool sha256_has_instructions() {
  static bool const has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    bool const sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1u) != 0;
    bool const sse41 = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 19 & 1u) != 0 && (c >> 9 & 1u) != 0;
    return sha && sse41;
  }();
  return has;
}
#endif

constexpr void sha256_blocks(std::uint32_t* state, std::uint8_t const* p, std::size_t blocks) {
  if (std::is_constant_evaluated()) return sha256_blocks_portable(state, p, blocks);
#if defined(__x86_64__)
  if (sha256_has_instructions()) return sha256_blocks_x86(state, p, blocks);
#endif
  sha256_blocks_portable(state, p, blocks);
}

}  // namespace detail

/// Incremental SHA-256. update() any number of times, then digest() or hex(); neither changes the state, so a running
/// digest may be read in between. Copyable.
class sha256 {
 public:
  using digest_type = std::array<std::uint8_t, 32>;

  /// Adds `bytes` bytes. Errors: none.
  void update(void const* data, std::size_t bytes) {
    auto const* p = static_cast<std::uint8_t const*>(data);
    if (bytes == 0) return;
    total_ += bytes;
    if (held_ > 0) {
      std::size_t const take = bytes < 64 - held_ ? bytes : 64 - held_;
      std::memcpy(block_ + held_, p, take);
      held_ += take, p += take, bytes -= take;
      if (held_ < 64) return;
      detail::sha256_blocks(state_, block_, 1);
      held_ = 0;
    }
    detail::sha256_blocks(state_, p, bytes / 64);
    held_ = bytes % 64;
    if (held_ > 0) std::memcpy(block_, p + (bytes - held_), held_);
  }
  /// Adds the characters of `text`; the compiler can, too.
  constexpr void update(std::string_view text) {
    if (!std::is_constant_evaluated()) return update(text.data(), text.size());
    for (char const c : text) {
      block_[held_++] = static_cast<std::uint8_t>(c);
      ++total_;
      if (held_ == 64) detail::sha256_blocks(state_, block_, 1), held_ = 0;
    }
  }

  /// The 32 bytes of the digest of everything added so far.
  constexpr digest_type digest() const {
    std::uint32_t state[8]{};
    for (int i = 0; i < 8; ++i) state[i] = state_[i];
    std::uint8_t tail[128] = {};
    for (std::size_t i = 0; i < held_; ++i) tail[i] = block_[i];
    tail[held_] = 0x80;
    std::size_t const blocks = held_ < 56 ? 1 : 2;
    std::uint64_t const bits = total_ * 8;
    for (int i = 0; i < 8; ++i) tail[blocks * 64 - 1 - i] = std::uint8_t(bits >> (8 * i));
    detail::sha256_blocks(state, tail, blocks);
    digest_type out{};
    for (int i = 0; i < 32; ++i) out[i] = std::uint8_t(state[i / 4] >> (24 - 8 * (i % 4)));
    return out;
  }
  /// The digest as 64 lower-case hexadecimal characters.
  std::string hex() const { return hex(digest()); }

  /// A digest as 64 lower-case hexadecimal characters.
  static std::string hex(digest_type const& digest) {
    constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (auto byte : digest) out += digits[byte >> 4], out += digits[byte & 15];
    return out;
  }
  /// Digest of one text, as hexadecimal characters.
  static std::string hex_of(std::string_view text) {
    sha256 h;
    h.update(text);
    return h.hex();
  }

 private:
  std::uint32_t state_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::uint8_t block_[64] = {};
  std::size_t held_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace tenon
