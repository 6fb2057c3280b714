#pragma once
#include <dlfcn.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <vector>

/// What every program has in common that trains, or does a part of a step, under the orders of compare.py. It prints one
/// JSON line when ready, then answers each line of standard input with one: `run N` makes N steps, `pinned N` makes N
/// steps whose gradient norms are those of norms.json, `allocations N` counts what N steps ask the system for, `product`
/// measures the BLAS, `stats` tells the memory used, `quit` ends.
namespace bench {

using json = nlohmann::ordered_json;
using clock_type = std::chrono::steady_clock;

inline double milliseconds_since(clock_type::time_point start) {
  return std::chrono::duration<double, std::milli>(clock_type::now() - start).count();
}

/// Peak resident memory of this process.
inline double peak_megabytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0) return std::stod(line.substr(6)) / 1024;
  throw std::runtime_error("/proc/self/status tells no peak memory; run this on Linux");
}

inline int available_threads() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}

/// What allocations.cpp counts where it is preloaded: calls of malloc and its kin, of free, and mappings.
struct allocation_count {
  std::int64_t allocated = 0, freed = 0, mapped = 0;
};
inline allocation_count allocations_so_far() {
  using counter = void (*)(std::int64_t*);
  auto const read = reinterpret_cast<counter>(::dlsym(RTLD_DEFAULT, "bench_allocations"));
  if (read == nullptr) throw std::runtime_error("nothing counts allocations; preload libbench_allocations.so");
  std::int64_t now[3];
  read(now);
  return {now[0], now[1], now[2]};
}
/// The calls that each of `count` runs of `f` makes.
template <class F>
json allocations(std::int64_t count, F&& f) {
  std::vector<std::int64_t> allocated, freed, mapped;
  allocated.reserve(std::size_t(count)), freed.reserve(std::size_t(count)), mapped.reserve(std::size_t(count));
  for (std::int64_t i = 0; i < count; ++i) {
    auto const before = allocations_so_far();
    f();
    auto const after = allocations_so_far();
    allocated.push_back(after.allocated - before.allocated), freed.push_back(after.freed - before.freed);
    mapped.push_back(after.mapped - before.mapped);
  }
  return {{"allocated", allocated}, {"freed", freed}, {"mapped", mapped}};
}

inline void answer(json const& j) { std::cout << j.dump() << std::endl; }

/// The command line of such a program: PROGRAM WORKLOAD [--dir DIR] [--threads N] ... Words that are not common to all go
/// to `own(word, value)`, which tells whether it knows them.
struct arguments {
  std::string workload, dir;
  int threads = available_threads();

  template <class Own>
  arguments(int argc, char** argv, char const* usage, Own&& own) {
    for (int i = 1; i < argc; ++i) {
      std::string const word = argv[i];
      auto const value = [&]() -> std::string {
        if (++i == argc) throw std::runtime_error(word + " takes a value; write " + usage);
        return argv[i];
      };
      if (word == "--dir") dir = value();
      else if (word == "--threads") threads = std::stoi(value());
      else if (own(word, value)) continue;
      else if (word.rfind("--", 0) == 0 || !workload.empty()) throw std::runtime_error("'" + word + "' is not understood; write " + usage);
      else workload = word;
    }
    if (workload.empty()) throw std::runtime_error(std::string("no workload was named; write ") + usage);
    if (threads < 1) throw std::runtime_error("--threads takes a number from 1 on");
  }
};

/// What a step found out.
struct stepped {
  double loss = 0, norm = 0;
};

/// Answers until `quit`: `make_step()` returns `stepped`, `gflops()` the rate of a product of side 1024, and
/// `pinned(norms)` fixes the norms of the next steps (empty: each step's own).
template <class Step, class Product, class Pin>
int obey(std::string const& dir, Step&& make_step, Product&& gflops, Pin&& pin) {
  auto const run = [&](std::int64_t count) -> json {
    std::vector<double> losses, norms, times;
    for (std::int64_t i = 0; i < count; ++i) {
      auto const start = clock_type::now();
      stepped const s = make_step();
      times.push_back(milliseconds_since(start));
      losses.push_back(s.loss), norms.push_back(s.norm);
    }
    return {{"ms", times}, {"losses", losses}, {"norms", norms}};
  };
  for (std::string word; std::cin >> word;) {
    std::int64_t count = 0;
    if (word == "run" || word == "pinned" || word == "allocations") std::cin >> count;
    if (word == "run") {
      answer(run(count));
    } else if (word == "pinned") {
      std::ifstream file(dir + "/norms.json");
      if (!file) throw std::runtime_error("there is no '" + dir + "/norms.json'; compare.py writes it");
      pin(json::parse(file).get<std::vector<double>>());
      auto const done = run(count);
      pin({});
      answer(done);
    } else if (word == "allocations") {
      answer(allocations(count, make_step));
    } else if (word == "product") {
      answer({{"gflops", gflops()}});
    } else if (word == "stats") {
      answer({{"peak_mb", peak_megabytes()}});
    } else if (word == "quit") {
      return 0;
    } else {
      throw std::runtime_error("'" + word + "' is no order; there are run N, pinned N, allocations N, product, stats, quit");
    }
  }
  return 0;
}

/// main of such a program.
template <class F>
int guarded(F&& f) {
  try {
    return f();
  } catch (std::exception const& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
  }
}

}  // namespace bench
