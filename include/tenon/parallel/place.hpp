#pragma once
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "tenon/core/error.hpp"

namespace tenon::parallel {

/// Where this process stands in a run of several, and where the ranks meet. A launcher says it in the environment.
struct place {
  std::string launcher;                ///< "torchrun" (and what speaks like it), "Slurm" or "MPI"
  int rank = 0, size = 1;              ///< of the run
  int local_rank = 0, local_size = 1;  ///< on this machine
  std::string host;                    ///< of the meeting point
  int port = 0;
  bool hosted = false;        ///< the launcher keeps the meeting point; else rank 0 does
  std::string attempt = "0";  ///< counts the launcher's restarts, so that a new start meets apart from an old one
};

namespace detail {

inline int whole_number(std::string_view name, std::string const& text, int low) {
  int n = 0;
  auto const [end, code] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (code != std::errc{} || end != text.data() + text.size() || n < low)
    throw error("the environment says " + std::string(name) + "=" + text +
                ", which is no number of ranks; start the program with torchrun, srun or mpirun, or unset it");
  return n;
}

/// "node[03-07,12]" is node03: the first host of Slurm's list.
inline std::string first_host(std::string list) {
  auto const open = list.find('['), comma = list.find(',');
  if (open == list.npos || comma < open) return list.substr(0, comma);
  auto const end = list.find_first_of("-,]", open + 1);
  return list.substr(0, open) + list.substr(open + 1, end - open - 1);
}

}  // namespace detail

/// Reads the place from the variables of torchrun, Slurm (srun) or MPI (Open MPI, MPICH, Intel); `get(name)` is the
/// variable's text, empty where it is not set. Nothing where no launcher speaks: a process of its own. Throws
/// tenon::error where what is said does not make a place.
template <class Get>
std::optional<place> place_of(Get get) {
  auto const number = [&](char const* name, int low) { return detail::whole_number(name, get(name), low); };
  auto const said = [&](char const* name) { return !get(name).empty(); };
  auto const or_else = [&](char const* name, int otherwise) { return said(name) ? number(name, 0) : otherwise; };
  place p;
  if (said("RANK") && said("WORLD_SIZE")) {
    p.launcher = "torchrun";
    p.rank = number("RANK", 0), p.size = number("WORLD_SIZE", 1);
    p.local_rank = or_else("LOCAL_RANK", p.rank), p.local_size = std::max(1, or_else("LOCAL_WORLD_SIZE", p.size));
    p.hosted = get("TORCHELASTIC_USE_AGENT_STORE") == "True";
    if (said("TORCHELASTIC_RESTART_COUNT")) p.attempt = get("TORCHELASTIC_RESTART_COUNT");
    p.port = 29500;  // torch's own default
  } else if (said("SLURM_PROCID") && said("SLURM_STEP_NUM_TASKS")) {  // a batch script alone has no step
    p.launcher = "Slurm";
    p.rank = number("SLURM_PROCID", 0), p.size = number("SLURM_STEP_NUM_TASKS", 1);
    p.local_rank = or_else("SLURM_LOCALID", 0);
    auto const per_node = get("SLURM_STEP_TASKS_PER_NODE");  // "4(x2),3"
    p.local_size = per_node.empty() ? p.size : std::atoi(per_node.c_str());
    p.host = detail::first_host(said("SLURM_STEP_NODELIST") ? get("SLURM_STEP_NODELIST") : get("SLURM_JOB_NODELIST"));
    p.port = 20000 + (or_else("SLURM_JOB_ID", 0) * 7 + or_else("SLURM_STEP_ID", 0)) % 20000;
    p.attempt = said("SLURM_RESTART_COUNT") ? get("SLURM_RESTART_COUNT") : "0";
  } else if (said("OMPI_COMM_WORLD_RANK")) {
    p.launcher = "MPI";
    p.rank = number("OMPI_COMM_WORLD_RANK", 0), p.size = number("OMPI_COMM_WORLD_SIZE", 1);
    p.local_rank = or_else("OMPI_COMM_WORLD_LOCAL_RANK", 0);
    p.local_size = std::max(1, or_else("OMPI_COMM_WORLD_LOCAL_SIZE", p.size));
  } else if (said("PMI_RANK") && said("PMI_SIZE")) {
    p.launcher = "MPI";
    p.rank = number("PMI_RANK", 0), p.size = number("PMI_SIZE", 1);
    p.local_rank = or_else("MPI_LOCALRANKID", 0), p.local_size = std::max(1, or_else("MPI_LOCALNRANKS", p.size));
  } else {
    return std::nullopt;
  }
  if (p.rank >= p.size || p.local_rank >= p.size || p.local_size > p.size)
    throw error("the environment of " + p.launcher + " says rank " + std::to_string(p.rank) + " of " +
                std::to_string(p.size) + " (" + std::to_string(p.local_rank) + " of " + std::to_string(p.local_size) +
                " on this machine), which cannot be; start the program with one launcher only");
  if (said("MASTER_ADDR")) p.host = get("MASTER_ADDR");
  if (said("MASTER_PORT")) p.port = number("MASTER_PORT", 1);
  if (p.host.empty() && p.local_size == p.size) p.host = "127.0.0.1";
  if (p.host.empty() || p.port == 0)
    throw error("the ranks do not know where to meet: " + p.launcher +
                " does not say; set MASTER_ADDR to the machine of rank 0 and MASTER_PORT to a free port there, the same for "
                "all ranks");
  return p;
}

/// The place that this process's environment gives it.
inline std::optional<place> place_of_environment() {
  return place_of([](char const* name) {
    char const* const text = std::getenv(name);
    return std::string(text == nullptr ? "" : text);
  });
}

/// How a total of `cores` is shared by the ranks of one machine: at least one each.
constexpr int threads_of_rank(int cores, int local_size) { return std::max(1, cores / std::max(1, local_size)); }

}  // namespace tenon::parallel
