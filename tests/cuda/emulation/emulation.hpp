#pragma once
// A GPU in plain C++, as far as include/tenon/exec/cuda uses one: the headers in this folder stand in for CUDA's, so that
// g++ compiles the library's kernels and its engine from their own source and runs them. Threads of a block are fibers,
// blocks run one after the other. What it catches: wrong indices and shapes, wrong layouts of cuBLASLt's operands, a
// barrier that some threads do not reach (it stops), a barrier that is missing (other orders of the threads give other
// bits), reads of shared memory that nobody has written (it is NaN before), a host that touches memory of the device (it is
// protected), values of one step that a graph has kept. What it cannot show: that the hardware does the same.
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "tenon/nn/dtype.hpp"

#define __global__
#define __device__
#define __host__
#define __shared__

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
inline dim3 threadIdx{0, 0, 0}, blockIdx{0, 0, 0}, blockDim, gridDim;

namespace tenon::exec::cuda {
inline double shared_room[16 * 1024];
}

namespace emulation {

enum class order { forward, backward, mixed };
inline order threads_run = order::forward;
inline int devices = 1;
inline void* fresh = nullptr;  ///< memory that was taken last and not yet touched
inline std::int64_t launches = 0, allocations = 0, allocated = 0, graph_launches = 0;

[[noreturn]] inline void stop(char const* sentence) {
  std::fprintf(stderr, "emulation: %s\n", sentence);
  std::abort();
}

// ---- Memory of the device: the host may not touch it.

inline std::map<void*, std::size_t>& regions() {
  static std::map<void*, std::size_t> all;
  return all;
}
/// While one lives, the device works.
struct device_at_work {
  static inline int depth = 0;
  device_at_work() {
    if (depth++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  ~device_at_work() {
    if (--depth == 0) protect(PROT_NONE);
  }
  static void protect(int how) {
    for (auto const& [p, n] : regions()) ::mprotect(p, n, how);
  }
};

// ---- Threads of a block.

struct barrier {
  unsigned expected = 0, arrived = 0, generation = 0;
};
/// Made once; takes the body of one block after the other. Switching is _setjmp and _longjmp, which ask nothing of the system.
struct fiber {
  ucontext_t context;
  jmp_buf here;
  bool done = true, begun = false;
};
inline constexpr std::size_t stack_bytes = 64 * 1024;
struct block_state {
  std::vector<std::unique_ptr<fiber>> fibers;
  std::vector<std::unique_ptr<char[]>> stacks;
  std::vector<barrier> warps;
  std::vector<double> slots;
  barrier whole;
  jmp_buf scheduler;
  unsigned current = 0;
  std::function<void()> const* body = nullptr;
  std::uint64_t progress = 0;
};
inline block_state& state() {
  static block_state s;
  return s;
}
inline void yield() {
  auto& s = state();
  if (_setjmp(s.fibers[s.current]->here) == 0) _longjmp(s.scheduler, 1);
}
/// Runs a thread until it waits or ends.
inline void resume(fiber& f) {
  auto& s = state();
  if (_setjmp(s.scheduler) != 0) return;
  if (f.begun) _longjmp(f.here, 1);
  f.begun = true;
  ::setcontext(&f.context);
}
inline void wait_at(barrier& b) {
  auto& s = state();
  ++s.progress;
  auto const mine = b.generation;
  if (++b.arrived == b.expected) {
    b.arrived = 0, ++b.generation;
  } else {
    while (b.generation == mine) yield();
  }
}
inline void fiber_main() {
  for (;;) {
    (*state().body)();
    state().fibers[state().current]->done = true, ++state().progress;
    yield();
  }
}
inline void run_block(unsigned threads, std::function<void()> const& body) {
  auto& s = state();
  while (s.fibers.size() < threads) {
    auto& f = *s.fibers.emplace_back(std::make_unique<fiber>());
    ::getcontext(&f.context);
    f.context.uc_stack.ss_sp = s.stacks.emplace_back(new char[stack_bytes]).get(), f.context.uc_stack.ss_size = stack_bytes;
    f.context.uc_link = nullptr;
    ::makecontext(&f.context, &fiber_main, 0);
  }
  s.warps.assign((threads + 31) / 32, {}), s.slots.assign(threads, 0), s.whole = {threads, 0, 0};
  for (unsigned t = 0; t < threads; ++t) ++s.warps[t / 32].expected;
  s.body = &body;
  std::vector<unsigned> turn(threads);
  for (unsigned t = 0; t < threads; ++t) {
    turn[t] = threads_run == order::forward ? t : threads_run == order::backward ? threads - 1 - t : (t * 97 + 31) % threads;
    s.fibers[t]->done = false;
  }
  for (unsigned left = threads; left > 0;) {
    auto const before = s.progress;
    left = 0;
    for (unsigned const t : turn) {
      if (s.fibers[t]->done) continue;
      s.current = t, threadIdx = {t, 0, 0};
      resume(*s.fibers[t]);
      if (!s.fibers[t]->done) ++left;
    }
    if (left > 0 && s.progress == before) stop("threads wait at a barrier that others never reach");
  }
}

// ---- Streams and graphs.

using work = std::function<void()>;
struct graph {
  std::vector<work> nodes;
};
struct stream_state {
  graph* capturing = nullptr;
};
inline stream_state& the_stream() {
  static stream_state s;
  return s;
}
inline void enqueue(work w) {
  if (the_stream().capturing != nullptr)
    the_stream().capturing->nodes.push_back(std::move(w));
  else
    w();
}

inline void run_grid(dim3 grid, dim3 threads, std::size_t shared, std::function<void()> const& body) {
  device_at_work const working;
  ++launches;
  gridDim = grid, blockDim = threads;
  auto& room = tenon::exec::cuda::shared_room;
  if (shared + 8 > sizeof room) stop("more shared memory than a block has");
  if (threads.y != 1 || threads.z != 1 || threads.x > 1024) stop("a shape of blocks that this emulation does not have");
  std::size_t const words = (shared + 7) / 8;
  for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) {
        std::memset(room, 0xff, (words + 1) * 8);  // NaN, as fp32 and as fp64
        run_block(threads.x, body);
        std::uint64_t canary = 0;
        std::memcpy(&canary, &room[words], 8);
        if (canary != ~std::uint64_t{0}) stop("a block wrote behind its shared memory");
      }
}

}  // namespace emulation

// ---- What kernels call.

inline void __syncthreads() { emulation::wait_at(emulation::state().whole); }
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  auto& s = emulation::state();
  auto& w = s.warps[s.current / 32];
  unsigned const me = s.current;
  std::memcpy(&s.slots[me], &value, sizeof value);
  emulation::wait_at(w);
  T other;
  std::memcpy(&other, &s.slots[me ^ unsigned(mask)], sizeof other);
  emulation::wait_at(w);
  return other;
}
using std::isfinite;

// ---- The runtime.

using cudaError_t = int;
enum : int { cudaSuccess = 0, cudaErrorMemoryAllocation = 2, cudaErrorNoKernelImageForDevice = 209, cudaErrorNoDevice = 100 };
inline char const* cudaGetErrorString(cudaError_t) { return "an emulated error"; }
using cudaStream_t = emulation::stream_state*;
struct emulated_event {};
using cudaEvent_t = emulated_event*;
using cudaGraph_t = emulation::graph*;
using cudaGraphExec_t = emulation::graph*;
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
struct cudaDeviceProp {
  char name[32] = "an emulated GPU";
  int major = 8, minor = 0;
  std::size_t totalGlobalMem = std::size_t{1} << 32;
};
inline cudaError_t cudaGetDeviceCount(int* n) { return *n = emulation::devices, emulation::devices > 0 ? cudaSuccess : cudaErrorNoDevice; }
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) { return *p = {}, cudaSuccess; }
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
inline cudaError_t cudaSetDevice(int d) { return d < emulation::devices ? cudaSuccess : cudaErrorNoDevice; }
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) { return *s = &emulation::the_stream(), cudaSuccess; }
inline cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t s) { return s->capturing == nullptr ? cudaSuccess : 900; }
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) { return *e = new emulated_event, cudaSuccess; }
inline cudaError_t cudaEventDestroy(cudaEvent_t e) { return delete e, cudaSuccess; }
inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaFuncSetAttribute(void const*, cudaFuncAttribute, int) { return cudaSuccess; }
inline cudaError_t cudaMalloc(void** p, std::size_t n) {
  n = (n + 4095) / 4096 * 4096;
  *p = ::mmap(nullptr, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (*p == MAP_FAILED) return cudaErrorMemoryAllocation;
  ++emulation::allocations, emulation::allocated += std::int64_t(n);
  emulation::regions()[*p] = n, emulation::fresh = *p;
  return cudaSuccess;
}
inline cudaError_t cudaFree(void* p) {
  ::munmap(p, emulation::regions().at(p));
  emulation::regions().erase(p);
  return cudaSuccess;
}
inline cudaError_t cudaMallocHost(void** p, std::size_t n) { return *p = std::malloc(n), cudaSuccess; }
inline cudaError_t cudaFreeHost(void* p) { return std::free(p), cudaSuccess; }
inline cudaError_t cudaMemset(void* p, int v, std::size_t n) {
  if (v == 0 && p == emulation::fresh) return emulation::fresh = nullptr, cudaSuccess;  // it is zero already
  emulation::device_at_work const working;
  return std::memset(p, v, n), cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* p, int v, std::size_t n, cudaStream_t) {
  emulation::enqueue([=] { (void)cudaMemset(p, v, n); });
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, void const* from, std::size_t n, cudaMemcpyKind, cudaStream_t) {
  emulation::enqueue([=] {
    emulation::device_at_work const working;
    std::memmove(to, from, n);
  });
  return cudaSuccess;
}
inline cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) { return s->capturing = new emulation::graph, cudaSuccess; }
inline cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* g) { return *g = std::exchange(s->capturing, nullptr), cudaSuccess; }
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t g, unsigned long long) { return *made = new emulation::graph(*g), cudaSuccess; }
inline cudaError_t cudaGraphDestroy(cudaGraph_t g) { return delete g, cudaSuccess; }
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t g) { return delete g, cudaSuccess; }
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t g, cudaStream_t) {
  ++emulation::graph_launches;
  for (auto const& node : g->nodes) node();
  return cudaSuccess;
}
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};
template <class... Parameters>
cudaError_t cudaLaunchKernelEx(cudaLaunchConfig_t const* c, void (*kernel)(Parameters...), std::type_identity_t<Parameters>... arguments) {
  emulation::enqueue([config = *c, kernel, arguments...] {
    emulation::run_grid(config.gridDim, config.blockDim, config.dynamicSmemBytes, [&] { kernel(arguments...); });
  });
  return cudaSuccess;
}

// ---- Formats.

struct __nv_bfloat16 {
  unsigned short bits;
};
struct __half {
  unsigned short bits;
};
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short b) { return {b}; }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
inline float __bfloat162float(__nv_bfloat16 x) { return tenon::nn::widen(tenon::nn::bf16{x.bits}); }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return {tenon::nn::narrow<tenon::nn::bf16>(x).bits}; }
inline __half __ushort_as_half(unsigned short b) { return {b}; }
inline unsigned short __half_as_ushort(__half x) { return x.bits; }
inline float __half2float(__half x) { return tenon::nn::widen(tenon::nn::fp16{x.bits}); }
inline __half __float2half_rn(float x) { return {tenon::nn::narrow<tenon::nn::fp16>(x).bits}; }
#define CUDART_INF_F (std::numeric_limits<float>::infinity())
