#pragma once
#include <cstdint>

/// What this program asks the system for while somebody watches: every malloc and its kin, from our code, LibTorch and the
/// BLAS alike, and every mmap. (Defined in memory_watch.cpp, which replaces those functions in this program.)
struct memory_watch {
  memory_watch();
  ~memory_watch();
  memory_watch(memory_watch const&) = delete;
  memory_watch& operator=(memory_watch const&) = delete;
  std::int64_t allocations() const;
  std::int64_t mappings() const;
  std::int64_t mapped_bytes() const;
};
