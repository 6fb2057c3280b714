// Run at configure time, linked with LibTorch: prints which BLAS it brings and how fast that is on all cores of this machine.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

namespace {

using gemm_f32 = void(char const*, char const*, int const*, int const*, int const*, float const*, float const*, int const*,
                      float const*, int const*, float const*, float*, int const*);
using gemm_bf16 = void(int, int, int, int, int, int, float, std::uint16_t const*, int, std::uint16_t const*, int, float, float*, int);

constexpr int n = 768;

template <class F>
F* find(char const* name) { return reinterpret_cast<F*>(dlsym(RTLD_DEFAULT, name)); }

/// Best rate of `multiply` over the given time, in GFLOP/s, with one thread per core where the BLAS can be held to one
/// thread per caller (that is how trainers call it), else with the BLAS's own threads.
template <class T, class Multiply>
double rate(int threads, double seconds, int (*hold)(int), Multiply multiply) {
  using clock = std::chrono::steady_clock;
  std::vector<double> best(static_cast<std::size_t>(threads), 0.0);
  auto work = [&](int index) {
    if (hold) hold(1);
    std::vector<T> a(n * n, T(1)), b(n * n, T(1));
    std::vector<float> c(n * n);
    multiply(a.data(), b.data(), c.data());
    for (auto const end = clock::now() + std::chrono::duration<double>(seconds); clock::now() < end;) {
      auto const start = clock::now();
      multiply(a.data(), b.data(), c.data());
      double const took = std::chrono::duration<double>(clock::now() - start).count();
      best[static_cast<std::size_t>(index)] = std::max(best[static_cast<std::size_t>(index)], 2e-9 * n * n * n / took);
    }
  };
  std::vector<std::thread> team;
  for (int i = 1; i < threads; ++i) team.emplace_back(work, i);
  work(0);
  for (auto& member : team) member.join();
  double sum = 0;
  for (double one : best) sum += one;
  return sum;
}

}  // namespace

int main() {
  auto* const f32 = find<gemm_f32>("sgemm_");
  auto* const bf16 = find<gemm_bf16>("cblas_gemm_bf16bf16f32");
  auto* const hold = find<int(int)>("MKL_Set_Num_Threads_Local");
  auto* const version = find<void(char*, int)>("MKL_Get_Version_String");
  auto* const openblas = find<char*()>("openblas_get_config");
  if (!f32) {
    std::puts("this LibTorch exports no sgemm_");
    return 1;
  }
  int const cores = std::max(1u, std::thread::hardware_concurrency());
  char name[200] = "unknown";
  if (version) version(name, sizeof name);
  else if (openblas) std::snprintf(name, sizeof name, "%s", openblas());
  for (char& c : name) if (c == ';' || c == '\n') c = ' ';
  double const single = rate<float>(hold ? cores : 1, 0.5, hold, [&](float const* a, float const* b, float* c) {
    float const one = 1, zero = 0;
    f32("N", "N", &n, &n, &n, &one, a, &n, b, &n, &zero, c, &n);
  });
  double half = 0;
  if (bf16) {
    half = rate<std::uint16_t>(hold ? cores : 1, 0.3, hold, [&](std::uint16_t const* a, std::uint16_t const* b, float* c) {
      bf16(102, 111, 111, n, n, n, 1.f, a, n, b, n, 0.f, c, n);  // column major, no transposition
    });
  }
  std::printf("blas=%s\nmkl=%d\nbf16=%d\ncores=%d\ngflops=%.0f\nbf16_gflops=%.0f\n", name, hold != nullptr, bf16 != nullptr, cores,
              single, half);
  return 0;
}
