#pragma once
#include <sched.h>

#include <algorithm>
#include <thread>

namespace tenon::app {

/// One per core, as the system grants them to this process.
inline int default_threads() {
#if defined(__linux__)
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return int(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace tenon::app
