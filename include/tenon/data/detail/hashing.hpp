#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace tenon::data::detail {

/// A bijective 64-bit mix (the finaliser of SplitMix64; Steele, Lea, Flood 2014).
inline std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

/// Hash of two words; order matters.
inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) { return mix(mix(a + 0x9e3779b97f4a7c15ULL) ^ b); }

/// Hash of a short byte string for in-memory tables; never stored on disk.
inline std::uint64_t hash_bytes(char const* p, std::size_t n) {
  std::uint64_t h = 0x9e3779b97f4a7c15ULL ^ (n * 0xff51afd7ed558ccdULL);
  for (; n >= 8; p += 8, n -= 8) {
    std::uint64_t w;
    std::memcpy(&w, p, 8);
    h = (h ^ w) * 0x9fb21c651e98df25ULL;
    h ^= h >> 32;
  }
  std::uint64_t w = 0;
  std::memcpy(&w, p, n);
  h = (h ^ w) * 0x9fb21c651e98df25ULL;
  return h ^ (h >> 29);
}

/// Open-addressing map from a 64-bit key (not 2^64 - 1) to a small value; grows by doubling at 5/8 full; no erase.
template <class Value>
class flat_map {
 public:
  static constexpr std::uint64_t empty = ~std::uint64_t{0};
  struct entry {
    std::uint64_t key = empty;
    Value value{};
  };

  explicit flat_map(std::size_t expected = 0) {
    std::size_t capacity = 16;
    while (capacity * 5 < expected * 8) capacity *= 2;
    entries_.resize(capacity);
  }
  std::size_t size() const { return size_; }

  /// Brings the key's first cache line closer.
  void prefetch(std::uint64_t key) const { __builtin_prefetch(&entries_[mix(key) & (entries_.size() - 1)]); }

  /// The value of `key`, or nullptr.
  Value const* find(std::uint64_t key) const {
    std::size_t const mask = entries_.size() - 1;
    for (std::size_t i = mix(key) & mask;; i = (i + 1) & mask) {
      if (entries_[i].key == key) return &entries_[i].value;
      if (entries_[i].key == empty) return nullptr;
    }
  }
  Value* find(std::uint64_t key) { return const_cast<Value*>(std::as_const(*this).find(key)); }

  /// The value of `key`, made with Value{} if absent; the reference is good until the next insertion.
  Value& operator[](std::uint64_t key) {
    std::size_t const mask = entries_.size() - 1;
    for (std::size_t i = mix(key) & mask;; i = (i + 1) & mask) {
      if (entries_[i].key == key) return entries_[i].value;
      if (entries_[i].key == empty) {
        if ((size_ + 1) * 8 > entries_.size() * 5) {
          grow();
          return (*this)[key];
        }
        ++size_;
        entries_[i].key = key;
        return entries_[i].value;
      }
    }
  }

  template <class F>
  void for_each(F f) const {
    for (auto const& e : entries_) {
      if (e.key != empty) f(e.key, e.value);
    }
  }

 private:
  void grow() {
    std::vector<entry> old(entries_.size() * 2);
    old.swap(entries_);
    std::size_t const mask = entries_.size() - 1;
    for (auto& e : old) {
      if (e.key == empty) continue;
      std::size_t i = mix(e.key) & mask;
      while (entries_[i].key != empty) i = (i + 1) & mask;
      entries_[i].key = e.key;
      entries_[i].value = std::move(e.value);
    }
  }
  std::vector<entry> entries_;
  std::size_t size_ = 0;
};

}  // namespace tenon::data::detail
