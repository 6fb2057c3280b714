// Whole runs on ranks with an emulated GPU each, which the emulated NCCL connects (tests/programs/on_gpu_ranks.cpp).
#include "ranks/runs.hpp"

using namespace ranks_tests;

namespace {

std::vector<std::string> const length{"--steps", "12", "--observe.evaluate_every=0"};

struct gpu_program : program {
  gpu_program(place const& p, std::string const& run, std::vector<std::string> const& options,
              std::vector<std::string> const& environment = {}, std::string const& log = "")
      : program(p, run, options, environment, log, {}, TENON_ON_GPU_RANKS) {}
};
struct straight_run {
  place p{20};
  std::map<std::string, std::string> bytes;
  straight_run() {
    gpu_program c(p, "straight", length);
    int const code = c.wait();
    DOCTEST_INFO(c.printed());
    REQUIRE(code == 0);
    EXPECT(contains(c.printed(), "inside of the GPUs' steps"));
    bytes = tensors(p.checkpoint("straight", 12));
  }
};
straight_run& straight() {
  static straight_run s;
  return s;
}
/// The run ends with the bytes of one that never failed.
void goes_on(std::string const& run) {
  auto& s = straight();
  gpu_program again(s.p, run, length, {}, run + "-again");
  int const code = again.wait();
  DOCTEST_INFO(again.printed());
  REQUIRE(code == 0);
  EXPECT((tensors(s.p.checkpoint(run, 12)) == s.bytes));
}

}  // namespace

TEST("ranks on GPUs: losses are those of one GPU, a run twice and a resume end with the same bytes") {
  auto& s = straight();
  gpu_program one(s.p, "one", {"--steps", "12", "--observe.evaluate_every=0", "--ranks", "1"});
  REQUIRE(one.wait() == 0);
  for (int const step : {1, 7, 12}) {
    EXPECT_EQ(number(s.p.root / "one", step, "tokens"), number(s.p.root / "straight", step, "tokens"));
    EXPECT_NEAR(number(s.p.root / "one", step, "loss"), number(s.p.root / "straight", step, "loss"), 1e-5);
  }
  gpu_program c(s.p, "stopped", length);
  REQUIRE(c.until([&] { return logged(s.p.root / "stopped", "\"tenon\":{\"step\":3,"); }));
  c.send(SIGINT);
  int const code = c.wait();
  DOCTEST_INFO(c.printed());
  REQUIRE(code == 3);
  goes_on("stopped");
}

TEST("ranks on GPUs: one that dies inside a reduction is named, the other leaves with 4, and the run goes on") {
  auto& s = straight();
  // Five reductions a step (four buckets, losses): the first of step 6, behind the checkpoint of step 5.
  gpu_program c(s.p, "killed", length, {"TENON_TEST_FAULT=1 26 9"});
  int const code = c.wait();
  auto const said = c.printed();
  DOCTEST_INFO(said);
  EXPECT_EQ(code, 4);
  EXPECT(contains(said, "error: rank 1 (process"));
  EXPECT(!half_written(s.p.root / "killed"));
  goes_on("killed");
}

static bool no_trials() {
  char const* const on = std::getenv("TENON_TEST_TRIALS");
  return on == nullptr || *on == 0;
}
TEST("trials: ranks on GPUs: what NCCL reports ends the run on all ranks, within the stated time" * doctest::skip(no_trials())) {
  auto& s = straight();
  gpu_program c(s.p, "broken", length, {"TENON_TEST_FAULT=0 26 0"});
  int const code = c.wait();
  auto const said = c.printed();
  DOCTEST_INFO(said);
  EXPECT_EQ(code, 4);
  EXPECT(contains(said, "a connection between the ranks broke (NCCL: remote process exited"));
  goes_on("broken");
}
TEST("trials: ranks on GPUs: a reduction that never ends although all are there ends the run" * doctest::skip(no_trials())) {
  auto& s = straight();
  gpu_program c(s.p, "hanging", {"--steps", "12", "--parallel.patience=3s"}, {"TENON_TEST_FAULT=0 26 0"});
  EXPECT_EQ(c.wait(), 4);
  DOCTEST_INFO(c.printed());
  EXPECT(contains(c.printed(), "the reduction of the gradient has not ended for 6 s, and all ranks give signs of life"));
}

TEST("ranks on GPUs: each needs a GPU of its own, and with fewer the start is a sentence on all ranks") {
  auto& s = straight();
  for (char const* const there : {"0", "1"}) {
    gpu_program c(s.p, "fewer", length, {std::string("TENON_TEST_GPUS=") + there});
    EXPECT_EQ(c.wait(), 2);
    auto const said = c.printed();
    DOCTEST_INFO(said);
    if (*there == '1') EXPECT(contains(said, "rank 1 on "));
    EXPECT(contains(said, "[tenon.gpu_present]"));
    EXPECT(contains(said, std::string("GPUs found = ") + there));
  }
}

TEST("trials: ranks on GPUs: one that is stopped is named after the patience" * doctest::skip(no_trials())) {
  auto& s = straight();
  gpu_program c(s.p, "halted", {"--steps", "12", "--parallel.patience=2s"}, {"TENON_TEST_FAULT=1 26 " + std::to_string(SIGSTOP)});
  int const code = c.wait();
  DOCTEST_INFO(c.printed());
  EXPECT_EQ(code, 4);
  EXPECT(contains(c.printed(), "rank 1"));
  EXPECT(contains(c.printed(), "is stopped"));
}
