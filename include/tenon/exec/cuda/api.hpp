#pragma once
#include <cuda_runtime_api.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "tenon/core/error.hpp"

/// The door to the CUDA runtime: what a call answered, memory, streams, events and graphs, each with an owner.
namespace tenon::exec::cuda {

using stream = cudaStream_t;

/// Throws tenon::error where a call failed: `what` says what was being done.
inline void check(cudaError_t code, char const* what) {
  if (code == cudaSuccess) return;
  std::string sentence = std::string(what) + " failed on the GPU: " + cudaGetErrorString(code);
  if (code == cudaErrorMemoryAllocation)
    sentence += "; --plan shows what each part of the run needs: lower batch.micro, or write memory::recompute{}";
  else if (code == cudaErrorNoKernelImageForDevice)
    sentence += "; the kernels were built for other GPUs: configure again with -DCMAKE_CUDA_ARCHITECTURES=native";
  else
    sentence += "; look at nvidia-smi and the system's log, and go on from the last checkpoint";
  throw error(sentence);
}

/// GPUs that this process can use; 0 where there is none, or no driver.
inline int device_count() {
  int n = 0;
  return cudaGetDeviceCount(&n) == cudaSuccess ? n : 0;
}

/// What a device is.
struct device_facts {
  std::string name;
  int capability = 0;     ///< 10 * major + minor, such as 90
  std::int64_t memory = 0;  ///< bytes, all of it
};
inline device_facts facts_of_device(int device) {
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, device), "asking what the device is");
  return {p.name, 10 * p.major + p.minor, std::int64_t(p.totalGlobalMem)};
}

/// Set once work hangs on the device (a rank is lost): then nothing there is given back, because that would wait for it, and
/// the process ends.
inline std::atomic<bool> abandoned{false};

/// Something that the runtime made and that ends with its owner.
template <class Handle, cudaError_t (*Destroy)(Handle)>
class owner {
 public:
  owner() = default;
  explicit owner(Handle h) : handle_(h) {}
  owner(owner&& o) noexcept : handle_(std::exchange(o.handle_, Handle{})) {}
  owner& operator=(owner&& o) noexcept {
    std::swap(handle_, o.handle_);
    return *this;
  }
  ~owner() {
    if (handle_ != Handle{} && !abandoned) (void)Destroy(handle_);
  }
  Handle get() const { return handle_; }
  explicit operator bool() const { return handle_ != Handle{}; }

 private:
  Handle handle_{};
};
using owned_stream = owner<cudaStream_t, &cudaStreamDestroy>;
using owned_event = owner<cudaEvent_t, &cudaEventDestroy>;
using owned_graph = owner<cudaGraphExec_t, &cudaGraphExecDestroy>;

inline owned_stream make_stream() {
  cudaStream_t s = nullptr;
  check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "making a stream");
  return owned_stream(s);
}
inline owned_event make_event() {
  cudaEvent_t e = nullptr;
  check(cudaEventCreateWithFlags(&e, cudaEventDisableTiming), "making an event");
  return owned_event(e);
}

/// What is in the stream now is behind `e`.
inline void mark(owned_event const& e, stream s) { check(cudaEventRecord(e.get(), s), "marking a place of a step"); }
/// What comes into the stream from now on waits for what is behind `e`.
inline void wait_for(owned_event const& e, stream s) { check(cudaStreamWaitEvent(s, e.get(), 0), "ordering two streams"); }
/// Whether what is behind `e` is done; throws where it failed.
inline bool is_done(owned_event const& e) {
  auto const code = cudaEventQuery(e.get());
  if (code != cudaErrorNotReady) check(code, "a step");
  return code == cudaSuccess;
}

/// Zeroed memory of the device, taken once.
class device_memory {
 public:
  device_memory() = default;
  explicit device_memory(std::int64_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    void* p = nullptr;
    check(cudaMalloc(&p, std::size_t(bytes)), ("taking " + std::to_string(bytes >> 20) + " MiB of memory").c_str());
    data_ = owner<void*, &cudaFree>(p);
    check(cudaMemset(p, 0, std::size_t(bytes)), "clearing the memory");
    check(cudaDeviceSynchronize(), "clearing the memory");  // the streams that use it do not wait for this one
  }
  std::byte* data() const { return static_cast<std::byte*>(data_.get()); }
  std::int64_t bytes() const { return bytes_; }

 private:
  owner<void*, &cudaFree> data_;
  std::int64_t bytes_ = 0;
};

/// Memory of the host that the device reads and writes without a detour; zeroed.
class pinned_memory {
 public:
  explicit pinned_memory(std::int64_t bytes) : bytes_(bytes) {
    void* p = nullptr;
    check(cudaMallocHost(&p, std::size_t(bytes)), "taking memory of the host for transfers");
    data_ = owner<void*, &cudaFreeHost>(p);
    for (std::int64_t i = 0; i < bytes; ++i) data()[i] = std::byte{};
  }
  std::byte* data() const { return static_cast<std::byte*>(data_.get()); }
  std::int64_t bytes() const { return bytes_; }

 private:
  owner<void*, &cudaFreeHost> data_;
  std::int64_t bytes_ = 0;
};

inline void copy_to_device(stream s, void* to, void const* from, std::int64_t bytes) {
  check(cudaMemcpyAsync(to, from, std::size_t(bytes), cudaMemcpyHostToDevice, s), "copying to the device");
}
inline void copy_to_host(stream s, void* to, void const* from, std::int64_t bytes) {
  check(cudaMemcpyAsync(to, from, std::size_t(bytes), cudaMemcpyDeviceToHost, s), "copying from the device");
}
inline void copy_on_device(stream s, void* to, void const* from, std::int64_t bytes) {
  check(cudaMemcpyAsync(to, from, std::size_t(bytes), cudaMemcpyDeviceToDevice, s), "copying on the device");
}
inline void clear_on_device(stream s, void* at, std::int64_t bytes) {
  check(cudaMemsetAsync(at, 0, std::size_t(bytes), s), "clearing on the device");
}
/// Waits until everything in the stream is done; a kernel that failed says so here.
inline void wait_for(stream s) { check(cudaStreamSynchronize(s), "a step"); }

/// What `f()` puts into the stream, as one graph. Nothing of it runs yet. Throws tenon::error where something of it
/// cannot be captured.
template <class F>
owned_graph capture(stream s, F&& f) {
  check(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal), "beginning a capture");
  cudaGraph_t graph = nullptr;
  try {
    f();
  } catch (...) {
    (void)cudaStreamEndCapture(s, &graph);
    if (graph != nullptr) (void)cudaGraphDestroy(graph);
    throw;
  }
  check(cudaStreamEndCapture(s, &graph), "capturing the step");
  cudaGraphExec_t made = nullptr;
  auto const code = cudaGraphInstantiate(&made, graph, 0);
  (void)cudaGraphDestroy(graph);
  check(code, "making a graph of the step");
  return owned_graph(made);
}
inline void replay(stream s, owned_graph const& g) { check(cudaGraphLaunch(g.get(), s), "starting the step"); }

}  // namespace tenon::exec::cuda
