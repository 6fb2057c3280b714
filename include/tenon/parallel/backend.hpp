#pragma once
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <chrono>
#include <string>
#include <vector>

#include "tenon/parallel/meeting.hpp"

/// The door to the library that carries the exchanges. `group` sees c10d::Backend only; another backend (NCCL on CUDA) is
/// another make_backend. Gloo works on memory of the CPU.
namespace tenon::parallel {

/// A backend waits this long before it gives up by itself and closes its connections. It must not: `watch` decides, and
/// names the rank.
inline constexpr std::chrono::milliseconds never_by_itself = std::chrono::hours(24);

/// Gloo between the ranks. On one machine it uses the loopback; else the interface that GLOO_SOCKET_IFNAME names, or the
/// one that the host's name stands for.
inline c10::intrusive_ptr<c10d::Backend> make_backend(c10::intrusive_ptr<c10d::Store> const& store, place const& p,
                                                      std::chrono::seconds patience) {
  auto const options = c10d::ProcessGroupGloo::Options::create(2 * std::chrono::milliseconds(patience) + std::chrono::minutes(1));
  char const* const interface = std::getenv("GLOO_SOCKET_IFNAME");
  if (interface != nullptr && *interface != 0)
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(interface));
  else if (p.local_size == p.size)
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface("lo"));
  else
    options->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
  try {
    return c10::make_intrusive<c10d::ProcessGroupGloo>(store, p.rank, p.size, options);
  } catch (std::exception const& e) {
    throw error("rank " + std::to_string(p.rank) + " could not connect to the others (" + first_line(e.what()) +
                "); between machines, set GLOO_SOCKET_IFNAME to the network interface that they share");
  }
}

inline c10::intrusive_ptr<c10d::Work> sum_over_ranks(c10d::Backend& b, at::Tensor& t) {
  std::vector<at::Tensor> list{t};
  c10d::AllreduceOptions o;
  o.timeout = never_by_itself;
  return b.allreduce(list, o);
}
inline c10::intrusive_ptr<c10d::Work> gather_bytes(c10d::Backend& b, at::Tensor& out, at::Tensor& in) {
  c10d::AllgatherOptions o;
  o.timeout = never_by_itself;
  return b._allgather_base(out, in, o);
}
inline c10::intrusive_ptr<c10d::Work> send_from_leader(c10d::Backend& b, at::Tensor& t) {
  std::vector<at::Tensor> list{t};
  c10d::BroadcastOptions o;
  o.rootRank = 0, o.timeout = never_by_itself;
  return b.broadcast(list, o);
}

}  // namespace tenon::parallel
