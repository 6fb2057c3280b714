#pragma once
#include <c10/util/Exception.h>
#include <dlfcn.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tenon/app/threads.hpp"
#include "tenon/checkpoint/manifest.hpp"
#include "tenon/core/error.hpp"
#include "tenon/core/sha256.hpp"
#include "tenon/core/units.hpp"
#include "tenon/exec/cpu/gemm.hpp"

#if !defined(TENON_ISA_NAME)
#define TENON_ISA_NAME "baseline"
#endif

namespace tenon::app {

/// Memory that this process may use: the machine's, or less where its control group says so; 0 where nobody does.
inline bytes machine_memory() {
  std::int64_t const pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGE_SIZE);
  std::int64_t all = pages > 0 && page > 0 ? pages * page : 0, limit = 0;
  std::ifstream group("/sys/fs/cgroup/memory.max");
  if (group >> limit && limit > 0 && (all == 0 || limit < all)) all = limit;
  return bytes{all};
}

/// This binary holds code of one instruction set only. Throws where the CPU lacks it.
inline void require_isa() {
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
  std::string const isa = TENON_ISA_NAME;
  bool ok = true;
  if (isa == "avx512")
    ok = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (isa == "avx2") ok = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (!ok)
    throw error(
        "this program was built for " + isa +
        " and this CPU does not have it; build again on this machine, or configure with -DTENON_ISA=AVX2 or baseline");
#endif
}

/// The directory of LibTorch's headers, beside the library that this process has loaded; the default corpus.
inline std::string libtorch_headers() {
  Dl_info info{};
  // Any function that libtorch_cpu defines tells where it lies.
  auto const inside =
      static_cast<void (*)(char const*, char const*, std::uint32_t, char const*)>(&c10::detail::torchCheckFail);
  if (::dladdr(reinterpret_cast<void*>(inside), &info) != 0 && info.dli_fname != nullptr) {
    auto const include = std::filesystem::path(info.dli_fname).parent_path().parent_path() / "include";
    if (std::filesystem::is_directory(include)) return include.string();
  }
  throw error(
      "the headers of LibTorch, which are the default corpus, were not found; name your own text with --data PATH");
}

/// What a bit-equal resume depends on (DESIGN, promise 2).
inline checkpoint::machine_facts machine_facts(int threads) {
  checkpoint::machine_facts m;
  m.isa = TENON_ISA_NAME;
  m.blas = TENON_HAVE_MKL_GEMM ? "MKL in LibTorch" : "ATen";
  m.threads = threads;
  m.ranks = 1;
  m.libtorch = TORCH_VERSION;
#if defined(__clang__)
  m.compiler = "clang " __clang_version__;
#else
  m.compiler = "g++ " __VERSION__;
#endif
  tenon::sha256 hash;
  std::ifstream self("/proc/self/exe", std::ios::binary);
  for (std::string block(1 << 20, '\0'); self.read(block.data(), std::streamsize(block.size())) || self.gcount() > 0;)
    hash.update(block.data(), std::size_t(self.gcount()));
  m.binary = hash.hex();
  return m;
}

/// One sentence for each fact that differs, so that a resume which may not be bit-equal says so.
inline std::vector<std::string> machine_differences(checkpoint::machine_facts const& before,
                                                    checkpoint::machine_facts const& now) {
  std::vector<std::string> all;
  auto const compare = [&](char const* what, auto const& a, auto const& b, auto text) {
    if (!(a == b)) all.push_back(std::string(what) + " was " + text(a) + " and is " + text(b));
  };
  auto const same = [](std::string const& s) { return s; };
  auto const number = [](std::int64_t n) { return std::to_string(n); };
  auto const head = [](std::string const& s) { return s.substr(0, 12); };
  compare("the instruction set", before.isa, now.isa, same), compare("the BLAS", before.blas, now.blas, same);
  compare("the number of threads", before.threads, now.threads, number),
      compare("the number of ranks", before.ranks, now.ranks, number);
  compare("LibTorch", before.libtorch, now.libtorch, same),
      compare("the compiler", before.compiler, now.compiler, same);
  compare("the program (SHA-256)", before.binary, now.binary, head);
  return all;
}

}  // namespace tenon::app
