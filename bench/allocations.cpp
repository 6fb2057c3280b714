// Preloaded into a program (LD_PRELOAD), counts what it asks the system for: calls of malloc and its kin, of free, and
// mappings, whoever makes them: our code, LibTorch, the BLAS, Python. `bench_allocations` tells the counts so far.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace {
std::atomic<std::int64_t> allocated{0}, freed{0}, mapped{0};
void seen() { allocated.fetch_add(1, std::memory_order_relaxed); }
void* map(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  mapped.fetch_add(1, std::memory_order_relaxed);
  return reinterpret_cast<void*>(::syscall(SYS_mmap, address, bytes, protection, flags, file, offset));
}
}  // namespace

// glibc's own functions under their other names, so that nothing has to be looked up before main.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void bench_allocations(std::int64_t* out) { out[0] = allocated, out[1] = freed, out[2] = mapped; }

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
void free(void* p) noexcept {
  if (p != nullptr) freed.fetch_add(1, std::memory_order_relaxed);
  __libc_free(p);
}
void* mmap(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) noexcept {
  return map(address, bytes, protection, flags, file, offset);
}
void* mmap64(void* address, std::size_t bytes, int protection, int flags, int file, off64_t offset) noexcept {
  return map(address, bytes, protection, flags, file, offset);
}
}
