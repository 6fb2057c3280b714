#pragma once
#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "tenon/core/error.hpp"

namespace tenon::exec {

/// Zeroed memory, taken once and kept: page-aligned, in huge pages where the system gives them.
class buffer {
 public:
  buffer() = default;
  explicit buffer(std::int64_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    void* const p = ::mmap(nullptr, std::size_t(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
      throw error("the system gave no " + std::to_string(bytes >> 20) + " MiB of memory (" + std::strerror(errno) +
                  "); --plan shows what each part of the run needs: lower batch.micro, or write memory::recompute{}");
    ::madvise(p, std::size_t(bytes), MADV_HUGEPAGE);
    data_ = static_cast<std::byte*>(p);
  }
  buffer(buffer&& o) noexcept : data_(std::exchange(o.data_, nullptr)), bytes_(std::exchange(o.bytes_, 0)) {}
  buffer& operator=(buffer&& o) noexcept {
    std::swap(data_, o.data_), std::swap(bytes_, o.bytes_);
    return *this;
  }
  ~buffer() {
    if (data_ != nullptr) ::munmap(data_, std::size_t(bytes_));
  }
  std::byte* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

}  // namespace tenon::exec
