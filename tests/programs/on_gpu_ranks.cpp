// A run on ranks with a GPU each as a program of its own: tests/ranks starts, kills and resumes it. With the headers of
// tests/cuda/emulation the GPUs and NCCL are emulated; TENON_TEST_GPUS says how many there are (default 8), and
// TENON_TEST_FAULT="RANK NUMBER SIGNAL" makes a rank send itself a signal inside its NUMBER-th reduction, or, with signal 0,
// makes its NCCL report an error. Only in a launcher's first attempt.
#include <tenon/tenon.hpp>
//
#include <tenon/cuda.hpp>
#include <tenon/parallel.hpp>

#include <cstdlib>
#include <sstream>
#ifndef TENON_ON_GPU
#include <tenon/exec/cuda/kernels.cuh>

namespace tenon::exec::cuda {
TENON_CUDA_KERNELS(float);
}  // namespace tenon::exec::cuda
#endif

using namespace tenon;
using namespace tenon::literals;

inline constexpr auto small = recipe(
    model::deepseek_llm{.vocab = 320, .hidden = 32, .layers = 2, .heads = 4, .kv_heads = 2, .intermediate = 48, .positions = 64},
    target::h200{}, precision::fp32{}, horizon{12_steps}, batch{.sequence = 16_tokens, .global = 8_samples, .micro = 2_samples},
    schedule::warmup_cosine{.peak = 3e-3, .warmup = 4_steps}, parallel::ddp{.ranks = 2, .bucket = bytes{16'384}},
    checkpoint::every{.period = period{5_steps}, .keep = 3}, observe::standard{.evaluate_every = 6_steps});
static_assert(trainer<small>::on_device && trainer<small>::on_ranks);

int main(int argc, char** argv) {
#ifndef TENON_ON_GPU
  auto const said = [](char const* name) {
    char const* const text = std::getenv(name);
    return std::string(text == nullptr ? "" : text);
  };
  emulation::devices = said("TENON_TEST_GPUS").empty() ? 8 : std::atoi(said("TENON_TEST_GPUS").c_str());
  emulation::streams_run = emulation::when::first_stream_first;
  std::istringstream in(said("TENON_TEST_FAULT"));
  int rank = -1;
  emulation::nccl_fault f{.error = ncclRemoteError};
  if (in >> rank >> f.number >> f.signal && std::to_string(rank) == said("RANK")) {
    if (f.signal != 0) f.error = ncclSuccess;
    emulation::fault = f;
  }
#endif
  return run<small>(argc, argv);
}
