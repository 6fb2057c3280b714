// Whole runs on ranks: programs that are started, interrupted, killed, stopped and resumed. A rank dies here by a signal
// that it sends itself at a place of a step (tests/programs/on_ranks.cpp), or from outside while it saves.
#include <algorithm>
#include <chrono>

#include "live/live.hpp"
#include "ranks/runs.hpp"
#include "support/chat_data.hpp"
#include "tenon/parallel/exchange_plan.hpp"
#include "tenon/parallel/place.hpp"

using namespace ranks_tests;

namespace {

std::vector<std::string> const length{"--steps", "40", "--observe.evaluate_every=0"};

/// A straight run of 40 steps on two ranks, made once.
struct straight_run {
  place p;
  std::map<std::string, std::string> bytes;
  straight_run() {
    program c(p, "straight", length);
    int const code = c.wait();
    DOCTEST_INFO(c.printed());
    REQUIRE(code == 0);
    EXPECT(contains(c.printed(), "ranks       2, of 1 threads each"));
    EXPECT(contains(c.printed(), "exchange    "));
    bytes = tensors(p.checkpoint("straight", 40));
  }
};
straight_run& straight() {
  static straight_run s;
  return s;
}

/// The run goes on after a failure and ends with the bytes of one that never failed.
void goes_on(std::string const& run) {
  auto& s = straight();
  program again(s.p, run, length, {}, run + "-again");
  int const code = again.wait();
  DOCTEST_INFO(again.printed());
  REQUIRE(code == 0);
  EXPECT(!contains(again.printed(), "not bit for bit"));
  EXPECT((tensors(s.p.checkpoint(run, 40)) == s.bytes));
}

/// What the trials have found: seconds from the fault until the other rank's process was gone, by place and signal.
std::map<std::string, std::vector<double>>& detected() {
  static std::map<std::string, std::vector<double>> all;
  return all;
}
using clock_type = std::chrono::steady_clock;
/// Waits until the rank `pid` of a run is gone; seconds since `fault` (set late, where the program says it).
template <class Fault>
double gone_after(program& c, pid_t pid, Fault fault) {
  REQUIRE(c.until([&] {
    auto const pids = ranks_of(c.id());
    return std::find(pids.begin(), pids.end(), pid) == pids.end();
  }));
  auto const now = clock_type::now();
  return std::chrono::duration<double>(now - fault()).count();
}
/// When the program said that it would hit itself.
clock_type::time_point fault_of(program const& c) {
  auto const said = c.printed();
  auto const at = said.find("fault at ");
  REQUIRE(at != said.npos);
  return clock_type::time_point(clock_type::duration(std::stoll(said.substr(at + 9))));
}

/// A rank is hit at a place of step 13: the launcher and the other rank name it, nothing is half-written, and the run goes
/// on from step 10.
void hit(int rank, std::string const& where, int signal) {
  auto& s = straight();
  static int runs = 0;
  std::string const run = where + std::to_string(rank) + "-" + std::to_string(++runs);
  auto options = length;
  if (signal == SIGSTOP) options.push_back("--parallel.patience=2s");
  program c(s.p, run, options, {"TENON_TEST_FAULT=" + std::to_string(rank) + " 13 " + where + " " + std::to_string(signal)});
  std::vector<pid_t> pids;
  REQUIRE(c.until([&] { return (pids = ranks_of(c.id())).size() == 2; }));
  double const seconds = gone_after(c, pids[std::size_t(1 - rank)], [&] { return fault_of(c); });
  int const code = c.wait();
  auto const said = c.printed();
  DOCTEST_INFO(where << " of rank " << rank << ", signal " << signal << ":\n" << said);
  EXPECT_EQ(code, 4);
  std::string const name = "rank " + std::to_string(rank);
  EXPECT(contains(said, "error: " + name));
  if (signal == SIGKILL) EXPECT(contains(said, name + " (process"));
  if (signal == SIGSTOP) EXPECT(contains(said, "is stopped"));
  EXPECT(!half_written(s.p.root / run));
  goes_on(run);
  detected()[where + (signal == SIGKILL ? " | kill" : " | stop")].push_back(seconds);
}

/// Rank 0 is killed or stopped while it writes a checkpoint; whether it was is read from what it leaves behind.
void hit_in_save(int signal) {
  auto& s = straight();
  static int runs = 0;
  auto options = length;
  if (signal == SIGSTOP) options.push_back("--parallel.patience=2s");
  for (int attempt = 0; attempt < 40; ++attempt) {
    std::string const run = "save" + std::to_string(++runs);
    program c(s.p, run, options);
    bool const seen = c.until([&] {
      std::error_code none;
      for (fs::directory_iterator entry(s.p.root / run / "checkpoints", none), end; !none && entry != end; entry.increment(none))
        if (entry->path().filename().string().rfind(".tmp-", 0) == 0) return true;
      return false;
    });
    REQUIRE(seen);
    auto const pids = ranks_of(c.id());
    if (pids.size() != 2) continue;  // it has ended
    auto const fault = clock_type::now();
    ::kill(pids[0], signal);
    double const seconds = gone_after(c, pids[1], [&] { return fault; });
    int const code = c.wait();
    bool const inside = half_written(s.p.root / run);
    DOCTEST_INFO(c.printed());
    if (inside) {
      EXPECT_EQ(code, 4);
      EXPECT(contains(c.printed(), "rank 0"));
      goes_on(run);
      EXPECT(!half_written(s.p.root / run));
      detected()[std::string("save") + (signal == SIGKILL ? " | kill" : " | stop")].push_back(seconds);
      return;
    }
  }
  DOCTEST_FAIL("no signal met a save");
}

parallel::place place_in(std::map<std::string, std::string> const& environment) {
  auto const p = parallel::place_of([&](char const* name) {
    auto const found = environment.find(name);
    return found == environment.end() ? std::string() : found->second;
  });
  REQUIRE(p.has_value());
  return *p;
}

}  // namespace

namespace {
struct part {
  std::int64_t first, last;
};
/// Head and embedding of 200 parameters each, four blocks of 100.
constexpr std::array<part, 6> parts{{{600, 800}, {500, 600}, {400, 500}, {300, 400}, {200, 300}, {0, 200}}};
constexpr parallel::exchange_plan planned(int ranks, std::int64_t bucket, double link) {
  return parallel::plan_exchange(parts, {.ranks = ranks, .bucket = bytes{bucket}}, 4, 6.0, link);
}
// By hand: 800 parameters of 4 bytes; on 2 ranks each hands out as many bytes, on 4 one and a half times.
static_assert(planned(1, 1, 1).buckets == 0);
static_assert(planned(2, 1, 0).bytes == 3200 && planned(4, 1, 0).bytes == 4800 && planned(2, 1, 0).buckets == 6);
static_assert(planned(2, 1 << 20, 0).buckets == 1 && planned(2, 500, 0).buckets == 4);
// One bucket leaves when all is done. Six: head at 2 s, blocks at 3, 4, 5 and 6 s, the embedding at 6 s; at 800 bytes a
// second the head takes 1 s, a block 1/2 s, the embedding 1 s: what is left after 6 s is the last block and the embedding.
constexpr auto whole = planned(2, 1 << 20, 800e-9), parted = planned(2, 1, 800e-9);
static_assert(whole.seconds == 4 && whole.exposed == 4 && whole.hidden() == 0);
static_assert(parted.seconds == 4 && parted.exposed > 1.4999 && parted.exposed < 1.5001);
}  // namespace

TEST("the place of a rank, from the variables of torchrun, Slurm and MPI") {
  EXPECT(!parallel::place_of([](char const*) { return std::string(); }));
  auto p = place_in({{"RANK", "3"}, {"WORLD_SIZE", "8"}, {"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "77"}, {"TORCHELASTIC_USE_AGENT_STORE", "True"}, {"TORCHELASTIC_RESTART_COUNT", "2"}});
  EXPECT((p.rank == 3 && p.size == 8 && p.local_rank == 1 && p.local_size == 2 && p.host == "a" && p.port == 77 && p.hosted && p.attempt == "2"));
  p = place_in({{"SLURM_PROCID", "5"}, {"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_LOCALID", "1"}, {"SLURM_STEP_TASKS_PER_NODE", "4(x2)"}, {"SLURM_STEP_NODELIST", "gpu[07-08,11]"}, {"SLURM_JOB_ID", "1234"}});
  EXPECT((p.rank == 5 && p.size == 8 && p.local_rank == 1 && p.local_size == 4 && p.host == "gpu07" && p.port > 1024 && !p.hosted));
  EXPECT_EQ(parallel::detail::first_host("n1,n2"), "n1");
  EXPECT_EQ(parallel::detail::first_host("host"), "host");
  EXPECT(!parallel::place_of([](char const* n) { return std::string(std::strcmp(n, "SLURM_PROCID") == 0 || std::strcmp(n, "SLURM_NTASKS") == 0 ? "0" : ""); }));
  p = place_in({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}, {"MASTER_PORT", "4000"}});
  EXPECT((p.launcher == "MPI" && p.rank == 1 && p.size == 2 && p.host == "127.0.0.1" && p.port == 4000));
  p = place_in({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}, {"MASTER_ADDR", "b"}, {"MASTER_PORT", "4000"}});
  EXPECT((p.rank == 0 && p.size == 2 && p.host == "b"));
  EXPECT_THROWS_WITH(place_in({{"RANK", "2"}, {"WORLD_SIZE", "2"}}), "which cannot be");
  EXPECT_THROWS_WITH(place_in({{"RANK", "x"}, {"WORLD_SIZE", "2"}}), "RANK=x, which is no number");
  EXPECT_THROWS_WITH(place_in({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "1"}}), "set MASTER_ADDR");
  static_assert(parallel::threads_of_rank(8, 3) == 2 && parallel::threads_of_rank(2, 4) == 1);
}

TEST("a checkpoint goes on with another number of ranks, in the same order of the data") {
  auto& s = straight();
  for (int const ranks : {2, 4}) {
    auto options = length;
    options.insert(options.end(), {"--ranks", std::to_string(ranks)});
    program c(s.p, "other", options, {}, "other" + std::to_string(ranks));
    auto const reached = ranks == 2 ? "\"step\":8," : "\"step\":20,";
    REQUIRE(c.until([&] { return logged(s.p.root / "other", reached); }));
    c.send(SIGINT);
    int const code = c.wait();
    DOCTEST_INFO(c.printed());
    REQUIRE(code == 3);
    EXPECT(contains(c.printed(), "The same command goes on"));
  }
  auto options = length;
  options.insert(options.end(), {"--ranks", "1"});
  program c(s.p, "other", options, {}, "other1");
  int const code = c.wait();
  DOCTEST_INFO(c.printed());
  REQUIRE(code == 0);
  EXPECT(contains(c.printed(), "the number of ranks was 4 and is 1"));
  for (int const step : {4, 9, 22, 40}) {
    EXPECT_EQ(number(s.p.root / "other", step, "tokens"), number(s.p.root / "straight", step, "tokens"));
    EXPECT_NEAR(number(s.p.root / "other", step, "loss"), number(s.p.root / "straight", step, "loss"), 1e-4);
  }
}

TEST("a rank that is killed is named, the others leave with 4, and the run goes on to the same bytes") {
  hit(1, "backward", SIGKILL);
}

TEST("a rank that is late within the limit harms nothing; one that stays away is named") {
  auto& s = straight();
  program c(s.p, "late", length, {"TENON_TEST_FAULT=1 13 forward " + std::to_string(SIGSTOP)});
  REQUIRE(c.until([&] { return logged(s.p.root / "late", "\"step\":12,"); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  auto const pids = ranks_of(c.id());
  REQUIRE(pids.size() == 2);
  ::kill(pids[1], SIGCONT);
  int const code = c.wait();
  DOCTEST_INFO(c.printed());
  EXPECT_EQ(code, 0);
  EXPECT((tensors(s.p.checkpoint("late", 40)) == s.bytes));
  hit(1, "reduction", SIGSTOP);
}

TEST("all ranks refuse what one must refuse, with one sentence") {
  auto& s = straight();
  auto const start = [&](int rank, std::vector<std::string> const& more, std::string const& log,
                         std::vector<std::string> options = length) {
    options.insert(options.end(), more.begin(), more.end());
    auto const port = std::to_string(30000 + ::getpid() % 20000);
    return std::make_unique<program>(s.p, "refused", options,
                                     std::vector<std::string>{"RANK=" + std::to_string(rank), "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=" + port},
                                     log);
  };
  SUBCASE("another number") {
    auto a = start(0, {}, "refused0"), b = start(1, {"--seed=5"}, "refused1");
    EXPECT_EQ(a->wait(), 1), EXPECT_EQ(b->wait(), 1);
    auto const said = a->printed() + b->printed();
    DOCTEST_INFO(said);
    EXPECT(contains(said, "has another numbers digest than rank 0"));
    EXPECT(said.find("another numbers digest") == said.rfind("another numbers digest"));
  }
  SUBCASE("a text that one rank has not") {
    auto a = start(0, {}, "refused0"), b = start(1, {"--data", (s.p.root / "missing").string()}, "refused1");
    EXPECT_EQ(a->wait(), 2), EXPECT_EQ(b->wait(), 2);
    DOCTEST_INFO(a->printed() << b->printed());
    EXPECT(contains(a->printed(), "rank 1 on "));
    EXPECT(contains(a->printed(), "missing"));
  }
  SUBCASE("a rank that does not come") {
    auto a = start(0, {"--parallel.patience=1s"}, "refused0");
    EXPECT_EQ(a->wait(), 1);
    EXPECT(contains(a->printed(), "of 2 ranks these did not come within 1 s: 1"));
  }
  SUBCASE("another number of ranks") {
    auto a = start(1, {"--ranks=4"}, "refused0");
    EXPECT_EQ(a->wait(), 2);
    EXPECT(contains(a->printed(), "ranks = 4, processes = 2, launcher = torchrun"));
  }
  SUBCASE("a long run whose rehearsal the leader does not find, before any rank reads the weights that are not there") {
    fs::create_directories(s.p.root / "no-model");
    std::vector<std::string> const more{"--steps", "2000000000", "--init", (s.p.root / "no-model").string()};
    auto a = start(0, more, "refused0", {}), b = start(1, more, "refused1", {});
    EXPECT_EQ(a->wait(), 2), EXPECT_EQ(b->wait(), 2);
    auto const said = a->printed() + b->printed();
    DOCTEST_INFO(said);
    EXPECT(contains(said, "its rehearsal has not passed"));
    EXPECT(said.find("has not passed") == said.rfind("has not passed"));
    EXPECT(!contains(said, "config.json"));
  }
  SUBCASE("a batch that the ranks cannot share") {
    program c(s.p, "refused", {"--ranks=3"});
    EXPECT_EQ(c.wait(), 2);
    EXPECT(contains(c.printed(), "[tenon.ranks_divide_global]"));
  }
}

TEST("conversations of two sources: two ranks have the losses of one process, and go on after a kill to the same bytes") {
  place p;
  p.data = chat_data(p.root, 2);
  auto const run = [&](std::string const& name, std::vector<std::string> const& more, std::string const& fault, int code) {
    auto options = length;
    options.insert(options.end(), more.begin(), more.end());
    program c(p, name, options, {"TENON_TEST_CHAT=1", "TENON_TEST_FAULT=" + fault});
    int const ended = c.wait();
    DOCTEST_INFO(name << "\n" << c.printed());
    REQUIRE(ended == code);
    return c.printed();
  };
  auto const said = run("two", {}, "", 0);
  run("one", {"--ranks", "1"}, "", 0);
  DOCTEST_INFO(said);
  EXPECT(contains(said, "chats0.jsonl: 683 of 1024 samples"));
  EXPECT(contains(said, "chats1.jsonl: 341 of 1024 samples"));
  EXPECT(contains(said, " tokens are answers"));
  for (int const step : {1, 9, 22, 40}) {
    EXPECT_EQ(number(p.root / "two", step, "tokens"), number(p.root / "one", step, "tokens"));
    EXPECT_NEAR(number(p.root / "two", step, "loss"), number(p.root / "one", step, "loss"), 1e-4);
  }
  EXPECT(number(p.root / "two", 40, "loss") < number(p.root / "two", 1, "loss"));
  run("killed", {}, "1 13 backward " + std::to_string(SIGKILL), 4);
  run("killed", {}, "", 0);
  EXPECT((tensors(p.checkpoint("two", 40)) == tensors(p.checkpoint("killed", 40))));
}

// The long trials: ./tenon test ranks --trials. TENON_TEST_TRIALS: how many of each kind.
static int num_trials() {
  char const* const on = std::getenv("TENON_TEST_TRIALS");
  return on == nullptr ? 0 : std::atoi(on);
}
TEST("trials: a rank killed or stopped anywhere in a step, and rank 0 while it saves" * doctest::skip(num_trials() == 0)) {
  detected().clear();
  for (int trial = 0; trial < num_trials(); ++trial)
    for (int signal : {SIGKILL, SIGSTOP}) {
      for (std::string where : {"forward", "backward", "reduction"})
        for (int rank : {0, 1}) hit(rank, where, signal);
      hit_in_save(signal);
    }
  // A line of each begins with "ranks: ", which the runner prints.
  std::printf("ranks: | place | signal | survived | seconds until the other rank has left, median | largest |\nranks: | --- | --- | --- | --- | --- |\n");
  for (auto& [what, seconds] : detected()) {
    std::sort(seconds.begin(), seconds.end());
    auto const expected = num_trials() * (what.starts_with("save") ? 1 : 2);
    std::printf("ranks: | %s | %zu of %d | %.2f | %.2f |\n", what.c_str(), seconds.size(), expected, seconds[seconds.size() / 2], seconds.back());
    EXPECT_EQ(int(seconds.size()), expected);
  }
}

TEST("live: torchrun restarts a run whose rank was killed, and it ends with the same bytes" * doctest::skip(live::off())) {
  auto& s = straight();
  auto const python = fs::path(std::getenv("TENON_TEST_PYTHON"));
  program c(s.p, "elastic", length, {"TENON_TEST_FAULT=1 13 backward 9"}, "",
            {(python.parent_path() / "torchrun").string(), "--no-python", "--nproc-per-node", "2", "--max-restarts", "2", "--"});
  int const code = c.wait();
  DOCTEST_INFO(c.printed());
  REQUIRE(code == 0);
  EXPECT(contains(c.printed(), "resumed     at step 10"));
  EXPECT(contains(c.printed(), "rank 1"));
  EXPECT((tensors(s.p.checkpoint("elastic", 40)) == s.bytes));
}

TEST("live: Open MPI and MPICH's launcher start the ranks, which end with the same bytes" * doctest::skip(live::off())) {
  auto& s = straight();
  int started = 0;
  for (std::string const launcher : {"mpirun.openmpi", "mpiexec.hydra"}) {
    if (std::system(("command -v " + launcher + " >/dev/null").c_str()) != 0) continue;  // Debian: openmpi-bin, mpich
    ++started;
    auto const port = std::to_string(32000 + ::getpid() % 20000 + started);
    // Open MPI wants to be asked twice where it is started by root, as in a container.
    program c(s.p, launcher, length, {"MASTER_ADDR=127.0.0.1", "MASTER_PORT=" + port, "OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"},
              "", {launcher, "-n", "2"});
    int const code = c.wait();
    DOCTEST_INFO(c.printed());
    REQUIRE(code == 0);
    EXPECT(contains(c.printed(), "ranks       2, of 1 threads each"));
    EXPECT((tensors(s.p.checkpoint(launcher, 40)) == s.bytes));
  }
  if (started == 0) std::printf("ranks: no launcher of MPI was found; Debian has them in openmpi-bin and mpich\n");
}
