#pragma once
// The part of NCCL that tenon calls, as its documentation states it, between processes of one machine: ranks meet in a piece
// of shared memory that the id names. A sum is added in the order of the ranks, in the format of the operands. As with the
// real one, a rank that does not come is waited for until somebody aborts. Stops where the ranks call different things.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include "emulation.hpp"

inline constexpr int NCCL_UNIQUE_ID_BYTES = 128;
struct ncclUniqueId {
  char internal[NCCL_UNIQUE_ID_BYTES];
};
enum ncclResult_t { ncclSuccess = 0, ncclSystemError = 2, ncclInvalidArgument = 4, ncclInvalidUsage = 5, ncclRemoteError = 6, ncclInProgress = 7 };
enum ncclDataType_t { ncclFloat32 = 7, ncclFloat64 = 8 };
enum ncclRedOp_t { ncclSum = 0 };

namespace emulation {

struct nccl_call {
  std::uint64_t number, count;
  int type, captured;
  friend bool operator==(nccl_call const&, nccl_call const&) = default;
};
/// At the beginning of the shared memory; zero when it is made. Behind it each rank has room for what it brings.
struct nccl_meeting {
  static constexpr int most = 8;
  static constexpr std::size_t room = std::size_t{8} << 20;
  std::atomic<int> arrived, generation;
  nccl_call calls[most];
  static constexpr std::size_t bytes() { return 4096 + most * room; }
  char* place(int rank) { return reinterpret_cast<char*>(this) + 4096 + std::size_t(rank) * room; }
};
static_assert(sizeof(nccl_meeting) <= 4096);

/// What tests arrange. At the reduction `number` (from 1 on) of this process: a signal that it sends itself, or an error that
/// the communicator reports from then on, which then never ends.
struct nccl_fault {
  std::uint64_t number = 0;
  int signal = 0;
  ncclResult_t error = ncclSuccess;
};
inline nccl_fault fault;
inline std::int64_t reductions = 0;

}  // namespace emulation

struct emulated_communicator {
  emulation::nccl_meeting* at = nullptr;
  int rank = 0, size = 1;
  std::uint64_t calls = 0;
  std::atomic<bool> aborted{false};
  std::atomic<ncclResult_t> error{ncclSuccess};

  void wait() {
    int const now = at->generation.load();
    if (at->arrived.fetch_add(1) + 1 == size) {
      at->arrived = 0, at->generation = now + 1;
      return;
    }
    for (int spin = 0; at->generation.load() == now && !aborted; ++spin)
      if (spin > 200) std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  template <class T>
  void add(T const* from, T* to, std::size_t n, bool captured) {
    emulation::nccl_call const mine{++calls, n, int(sizeof(T)), captured};
    ++emulation::reductions;
    if (emulation::fault.number == calls) {
      if (emulation::fault.signal != 0) ::raise(emulation::fault.signal);
      error = emulation::fault.error;
    }
    while (error != ncclSuccess && !aborted) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (n * sizeof(T) > emulation::nccl_meeting::room) emulation::stop("more to reduce than this emulation has room for");
    emulation::device_at_work const working;
    if (!aborted) {
      at->calls[rank] = mine;
      std::memcpy(at->place(rank), from, n * sizeof(T));
      wait();
    }
    if (!aborted) {
      for (int r = 0; r < size; ++r)
        if (at->calls[r] != mine) emulation::stop("the ranks reduce different things");
      std::memcpy(to, at->place(0), n * sizeof(T));
      for (int r = 1; r < size; ++r) {
        auto const* const other = reinterpret_cast<T const*>(at->place(r));
        for (std::size_t i = 0; i < n; ++i) to[i] += other[i];
      }
      wait();
    }
    if (aborted) std::memset(to, 0xff, n * sizeof(T));  // it is worth nothing
  }
};
using ncclComm_t = emulated_communicator*;

inline char const* ncclGetErrorString(ncclResult_t e) { return e == ncclRemoteError ? "remote process exited or there was a network error" : "an emulated error"; }
inline char const* ncclGetLastError(ncclComm_t) { return ""; }
inline ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int made = 0;
  *id = {};
  std::snprintf(id->internal, sizeof id->internal, "/dev/shm/tenon-nccl-%d-%d", ::getpid(), ++made);
  int const file = ::open(id->internal, O_RDWR | O_CREAT | O_EXCL, 0600);
  bool const good = file >= 0 && ::ftruncate(file, off_t(emulation::nccl_meeting::bytes())) == 0;
  ::close(file);
  return good ? ncclSuccess : ncclSystemError;
}
/// Waits for all ranks.
inline ncclResult_t ncclCommInitRank(ncclComm_t* c, int size, ncclUniqueId id, int rank) {
  if (size < 1 || size > emulation::nccl_meeting::most || rank < 0 || rank >= size) return ncclInvalidArgument;
  int const file = ::open(id.internal, O_RDWR);
  if (file < 0) return ncclSystemError;
  void* const p = ::mmap(nullptr, emulation::nccl_meeting::bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (p == MAP_FAILED) return ncclSystemError;
  *c = new emulated_communicator;
  (*c)->at = static_cast<emulation::nccl_meeting*>(p), (*c)->rank = rank, (*c)->size = size;
  (*c)->wait();
  if (rank == 0) ::unlink(id.internal);
  return ncclSuccess;
}
inline ncclResult_t ncclCommDestroy(ncclComm_t c) {
  ::munmap(c->at, emulation::nccl_meeting::bytes());
  return delete c, ncclSuccess;
}
/// Its memory stays: another thread may be inside a reduction.
inline ncclResult_t ncclCommAbort(ncclComm_t c) { return c->aborted = true, ncclSuccess; }
inline ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t* e) { return *e = c->error, ncclSuccess; }
inline ncclResult_t ncclGroupStart() { return ncclSuccess; }
inline ncclResult_t ncclGroupEnd() { return ncclSuccess; }
inline ncclResult_t ncclAllReduce(void const* from, void* to, std::size_t n, ncclDataType_t type, ncclRedOp_t, ncclComm_t c, cudaStream_t s) {
  bool const captured = s->capturing != nullptr;  // on one rank and not on the others, the real one may hang
  emulation::enqueue(s, [=] {
    if (type == ncclFloat32)
      c->add(static_cast<float const*>(from), static_cast<float*>(to), n, captured);
    else
      c->add(static_cast<double const*>(from), static_cast<double*>(to), n, captured);
  });
  return ncclSuccess;
}
