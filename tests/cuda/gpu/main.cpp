// The start of test_cuda_gpu. Without a GPU: one sentence, and exit code 77.
#define DOCTEST_CONFIG_IMPLEMENT
#include "support/test.hpp"
//
#include <cstdio>

#include "tenon/exec/cuda/api.hpp"

int main(int argc, char** argv) {
  int const n = tenon::exec::cuda::device_count();
  if (n == 0) {
#ifdef TENON_CUDA_NCCL
    char const* const ranks = " (NCCL, too)";
#else
    char const* const ranks = "";
#endif
    std::printf("no GPU was found, so the tests of tests/cuda were compiled for one, linked%s and not run on it; look at nvidia-smi and CUDA_VISIBLE_DEVICES if there should be one\n", ranks);
    return 77;
  }
  auto const f = tenon::exec::cuda::facts_of_device(0);
  std::printf("on %s, compute capability %d.%d\n", f.name.c_str(), f.capability / 10, f.capability % 10);
  return doctest::Context(argc, argv).run();
}
