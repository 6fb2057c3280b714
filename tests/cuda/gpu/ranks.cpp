// Ranks on real GPUs, with --live: the program of tests/programs/on_gpu_ranks.cpp where there is none, and where there are two.
#include "ranks/runs.hpp"
#include "tenon/exec/cuda/api.hpp"

using namespace ranks_tests;

namespace {
struct gpu_program : program {
  gpu_program(place const& p, std::string const& run, std::vector<std::string> const& options)
      : program(p, run, options, {}, "", {}, TENON_ON_GPU_RANKS) {}
};
}  // namespace

TEST("ranks on GPUs: without one the start is one sentence on all ranks" * doctest::skip(exec::cuda::device_count() > 0)) {
  place const p(20);
  gpu_program c(p, "none", {"--steps", "12"});
  EXPECT_EQ(c.wait(), 2);
  DOCTEST_INFO(c.printed());
  EXPECT(contains(c.printed(), "[tenon.gpu_present]"));
}

TEST("ranks on two GPUs have the losses of one, and the same bits each time" * doctest::skip(exec::cuda::device_count() < 2)) {
  place const p(20);
  for (std::string const run : {"one", "two", "again"}) {
    gpu_program c(p, run, {"--steps", "12", "--ranks", run == "one" ? "1" : "2"});
    int const code = c.wait();
    DOCTEST_INFO(c.printed());
    REQUIRE(code == 0);
  }
  for (int const step : {1, 7, 12}) EXPECT_NEAR(number(p.root / "one", step, "loss"), number(p.root / "two", step, "loss"), 1e-4);
  EXPECT((tensors(p.checkpoint("two", 12)) == tensors(p.checkpoint("again", 12))));
}
