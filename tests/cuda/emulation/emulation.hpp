#pragma once
// What kernels and the engine call of CUDA, on the machine of machine.hpp.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "machine.hpp"
#include "tenon/nn/dtype.hpp"

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
enum : int {
  cudaSuccess = 0,
  cudaErrorMemoryAllocation = 2,
  cudaErrorNoDevice = 100,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorNotReady = 600,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureUnjoined = 904
};
inline char const* cudaGetErrorString(cudaError_t) { return "an emulated error"; }
using cudaStream_t = emulation::stream_state*;
using cudaEvent_t = emulation::event_state*;
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
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) {
  emulation::streams().push_back(*s = new emulation::stream_state);
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t s) {
  if (s->capturing != nullptr) return cudaErrorStreamCaptureUnsupported;
  emulation::run_until([&] { return s->pending.empty(); });
  return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t s) {
  emulation::run_all();
  std::erase(emulation::streams(), s);
  return delete s, cudaSuccess;
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) { return *e = new emulation::event_state, cudaSuccess; }
inline cudaError_t cudaEventDestroy(cudaEvent_t e) { return emulation::run_all(), delete e, cudaSuccess; }
inline cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
  e->in = s->capturing;
  emulation::put(s, {.records = e, .ticket = ++e->recorded});
  return cudaSuccess;
}
/// A stream that waits for an event of a capture takes part in it.
inline cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
  if (e->in != nullptr && s->capturing == nullptr) emulation::begin_capture(s, e->in);
  if (e->in != s->capturing) return cudaErrorStreamCaptureUnsupported;
  emulation::put(s, {.waits = e, .ticket = e->recorded});
  return cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t e) {
  emulation::run_until([&] { return e->passed == e->recorded; });
  return cudaSuccess;
}
inline cudaError_t cudaEventQuery(cudaEvent_t e) { return cudaEventSynchronize(e); }
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
  emulation::run_all();
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
inline cudaError_t cudaMemsetAsync(void* p, int v, std::size_t n, cudaStream_t s) {
  emulation::enqueue(s, [=] { (void)cudaMemset(p, v, n); });
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, void const* from, std::size_t n, cudaMemcpyKind, cudaStream_t s) {
  emulation::enqueue(s, [=] {
    emulation::device_at_work const working;
    std::memmove(to, from, n);
  });
  return cudaSuccess;
}
inline cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
  return emulation::begin_capture(s, new emulation::graph), cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* g) {
  *g = s->capturing;
  for (auto* each : (*g)->streams) each->capturing = nullptr;
  return emulation::joined(**g) ? cudaSuccess : cudaErrorStreamCaptureUnjoined;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t g, unsigned long long) { return *made = new emulation::graph(*g), cudaSuccess; }
inline cudaError_t cudaGraphDestroy(cudaGraph_t g) { return delete g, cudaSuccess; }
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t g) { return delete g, cudaSuccess; }
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t g, cudaStream_t s) {
  ++emulation::graph_launches;
  emulation::enqueue(s, [g] { emulation::run_graph(*g); });
  return cudaSuccess;
}
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};
template <class... Parameters>
cudaError_t cudaLaunchKernelEx(cudaLaunchConfig_t const* c, void (*kernel)(Parameters...), std::type_identity_t<Parameters>... arguments) {
  emulation::enqueue(c->stream, [config = *c, kernel, arguments...] {
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
