#include "exec/memory_watch.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

namespace {
std::atomic<bool> watching{false};
std::atomic<std::int64_t> allocations_seen{0}, mappings_seen{0}, bytes_seen{0};
void seen() {
  if (watching.load(std::memory_order_relaxed)) allocations_seen.fetch_add(1, std::memory_order_relaxed);
}
void* map(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  if (watching.load(std::memory_order_relaxed)) mappings_seen.fetch_add(1), bytes_seen.fetch_add(std::int64_t(bytes));
  return reinterpret_cast<void*>(::syscall(SYS_mmap, address, bytes, protection, flags, file, offset));
}
}  // namespace

memory_watch::memory_watch() {
  allocations_seen = mappings_seen = bytes_seen = 0;
  watching = true;
}
memory_watch::~memory_watch() { watching = false; }
std::int64_t memory_watch::allocations() const { return allocations_seen; }
std::int64_t memory_watch::mappings() const { return mappings_seen; }
std::int64_t memory_watch::mapped_bytes() const { return bytes_seen; }

// glibc's own functions under their other names, so that nothing has to be looked up before main.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t n) noexcept { return seen(), __libc_malloc(n); }
void* calloc(std::size_t n, std::size_t size) noexcept { return seen(), __libc_calloc(n, size); }
void* realloc(void* p, std::size_t n) noexcept { return seen(), __libc_realloc(p, n); }
void* memalign(std::size_t alignment, std::size_t n) noexcept { return seen(), __libc_memalign(alignment, n); }
void* aligned_alloc(std::size_t alignment, std::size_t n) noexcept { return seen(), __libc_memalign(alignment, n); }
int posix_memalign(void** out, std::size_t alignment, std::size_t n) noexcept {
  seen();
  *out = __libc_memalign(alignment, n);
  return *out == nullptr ? ENOMEM : 0;
}
void* mmap(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) noexcept {
  return map(address, bytes, protection, flags, file, offset);
}
void* mmap64(void* address, std::size_t bytes, int protection, int flags, int file, off64_t offset) noexcept {
  return map(address, bytes, protection, flags, file, offset);
}
}
