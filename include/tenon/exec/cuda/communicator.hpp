#pragma once
#include <nccl.h>

#include <atomic>
#include <string>

#include "tenon/exec/cuda/api.hpp"

/// The door to NCCL, which adds arrays that lie on several GPUs.
namespace tenon::exec::cuda {

/// What NCCL could not do. Another rank may be why.
struct connection_error : error {
  using error::error;
};
inline void check(ncclResult_t code, char const* what) {
  if (code == ncclSuccess) return;
  throw connection_error(std::string(what) + " failed: NCCL says '" + ncclGetErrorString(code) +
              "'; NCCL_DEBUG=INFO shows its own words, nvidia-smi topo -m how the GPUs reach each other");
}

/// What the ranks must all know to meet.
using communicator_id = ncclUniqueId;
inline communicator_id make_communicator_id() {
  communicator_id id{};
  check(ncclGetUniqueId(&id), "opening the meeting point of the GPUs");
  return id;
}

/// This rank's GPU among those of all ranks. All call the same sums in the same order. Its kernels are put into streams and may
/// be captured; a sum leaves identical copies on all ranks (nccl.h of ncclAllReduce), so that whatever each of them works out
/// of it is the same everywhere.
class communicator {
 public:
  /// Waits for all `size` ranks, as long as it takes.
  communicator(communicator_id const& id, int rank, int size) {
    ncclComm_t c = nullptr;
    check(ncclCommInitRank(&c, size, id, rank), "connecting the GPUs of the ranks");
    handle_ = c;
  }
  communicator(communicator const&) = delete;
  communicator& operator=(communicator const&) = delete;
  ~communicator() {
    if (auto const c = handle_.exchange(nullptr); c != nullptr && !abandoned) (void)ncclCommDestroy(c);
  }

  /// Adds `n` elements over the ranks, in place.
  void sum(stream s, float* data, std::int64_t n) { sum(s, data, n, ncclFloat32); }
  void sum(stream s, double* data, std::int64_t n) { sum(s, data, n, ncclFloat64); }
  /// What `f()` sums goes to the GPUs as one.
  template <class F>
  void together(F&& f) {
    check(ncclGroupStart(), "adding over the GPUs");
    f();
    check(ncclGroupEnd(), "adding over the GPUs");
  }

  /// What went wrong since, without waiting for anything; empty while all is well. From any thread.
  std::string trouble() const {
    auto const c = handle_.load();
    ncclResult_t found = ncclSuccess;
    if (c == nullptr || ncclCommGetAsyncError(c, &found) != ncclSuccess || found == ncclSuccess || found == ncclInProgress) return "";
    return std::string("NCCL: ") + ncclGetErrorString(found);
  }
  /// Ends what is on its way, whose results are then worth nothing. From any thread; may take a while, or for ever.
  void abort() noexcept {
    if (auto const c = handle_.exchange(nullptr)) (void)ncclCommAbort(c);
  }

 private:
  template <class T>
  void sum(stream s, T* data, std::int64_t n, ncclDataType_t type) {
    auto const c = handle_.load();
    if (c == nullptr) throw connection_error("the connection of the GPUs was given up");
    check(ncclAllReduce(data, data, std::size_t(n), type, ncclSum, c, s), "adding over the GPUs");
  }
  std::atomic<ncclComm_t> handle_{nullptr};
};

}  // namespace tenon::exec::cuda
