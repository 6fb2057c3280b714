#pragma once
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tenon/app/interrupt.hpp"
#include "tenon/parallel/meeting.hpp"

namespace tenon::app {

namespace detail {
inline std::atomic<int> signals_to_pass{0};
inline void on_launcher_signal(int) { signals_to_pass.fetch_add(1); }
}  // namespace detail

/// Starts this program once more for each rank on this machine, keeps their meeting point, and waits for them.
///
/// It speaks like torchrun (RANK, WORLD_SIZE, ...), so that ranks are started one way only. It sees at once when a rank is
/// killed and says it where the others look. Signals go to every rank once, a closed launcher closes its ranks. Ranks that
/// are still there `patience` and some seconds after another's death are killed. Returns 0 when all ranks did, 3 when all
/// were interrupted, 4 when one was ended by a signal, else the code of the first that failed.
inline int launch(int argc, char const* const* argv, int ranks, std::chrono::seconds patience) {
  using clock = std::chrono::steady_clock;
  parallel::place p{.launcher = "tenon", .size = ranks, .local_size = ranks, .host = "127.0.0.1", .port = 0, .hosted = true};
  c10d::TCPStoreOptions o;
  o.port = 0, o.isServer = true, o.waitWorkers = false;
  auto const table = c10::make_intrusive<c10d::TCPStore>(p.host, o);
  c10d::PrefixStore said("tenon/0", table);

  struct sigaction action {};
  action.sa_handler = detail::on_launcher_signal;
  for (int s : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(s, &action, nullptr);

  std::vector<char*> arguments;
  for (int i = 0; i < argc; ++i) arguments.push_back(const_cast<char*>(argv[i]));
  arguments.push_back(nullptr);
  std::vector<pid_t> pids;
  std::fflush(nullptr);
  for (int r = 0; r < ranks; ++r) {
    std::vector<std::string> texts{"RANK=" + std::to_string(r),
                                   "LOCAL_RANK=" + std::to_string(r),
                                   "WORLD_SIZE=" + std::to_string(ranks),
                                   "LOCAL_WORLD_SIZE=" + std::to_string(ranks),
                                   "MASTER_ADDR=" + p.host,
                                   "MASTER_PORT=" + std::to_string(table->getPort()),
                                   "TORCHELASTIC_USE_AGENT_STORE=True",
                                   "TORCHELASTIC_RESTART_COUNT=0"};
    for (char** e = environ; *e != nullptr; ++e) {
      std::string const name(*e, std::strcspn(*e, "="));
      bool ours = false;
      for (auto const& t : texts) ours = ours || t.compare(0, t.find('='), name) == 0;
      if (!ours) texts.emplace_back(*e);
    }
    std::vector<char*> environment;
    for (auto& t : texts) environment.push_back(t.data());
    environment.push_back(nullptr);
    pid_t const parent = ::getpid(), pid = ::fork();
    if (pid < 0) {
      int const code = errno;
      for (auto const started : pids) ::kill(started, SIGKILL), ::waitpid(started, nullptr, 0);
      throw error("rank " + std::to_string(r) + " could not be started: " + std::strerror(code) +
                  "; close other programs, or take fewer ranks");
    }
    if (pid == 0) {  // only what is safe after a fork
      ::setpgid(0, 0);  // Ctrl-C comes from the launcher alone, once
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      if (::getppid() != parent) ::_exit(1);
      ::execve("/proc/self/exe", arguments.data(), environment.data());
      ::_exit(127);
    }
    pids.push_back(pid);
  }

  int passed = 0, running = ranks, code = 0, interrupts = 0;
  bool failed = false, killed = false;
  clock::time_point failure{};
  std::string first;
  std::vector<bool> ended(std::size_t(ranks), false);
  while (running > 0) {
    for (; passed < detail::signals_to_pass.load(); ++passed)
      for (std::size_t r = 0; r < pids.size(); ++r)
        if (!ended[r]) ::kill(pids[r], SIGTERM);
    bool quiet = true;
    for (std::size_t r = 0; r < pids.size(); ++r) {
      int status = 0;
      if (ended[r] || ::waitpid(pids[r], &status, WNOHANG) != pids[r]) continue;
      ended[r] = true, --running, quiet = false;
      int const exited = WIFEXITED(status) ? WEXITSTATUS(status) : int(exit_code::rank_lost);
      if (exited == int(exit_code::interrupted)) ++interrupts;
      if (exited == 0 || exited == int(exit_code::interrupted)) continue;
      std::string const how =
          "rank " + std::to_string(r) + " (process " + std::to_string(pids[r]) + ") " +
          (WIFSIGNALED(status) ? "was ended by signal " + std::to_string(WTERMSIG(status)) + " (" + ::strsignal(WTERMSIG(status)) + ")"
                               : "left with exit code " + std::to_string(exited));
      if (failed) continue;
      failed = true, failure = clock::now(), code = exited;
      if (WIFSIGNALED(status)) first = how;
      try {
        (void)parallel::say_first(said, {exited, how});
      } catch (std::exception const&) {  // the others find out by themselves
      }
    }
    if (failed && !killed && running > 0 && clock::now() - failure > patience + std::chrono::seconds(5)) {
      killed = true;
      for (std::size_t r = 0; r < pids.size(); ++r)
        if (!ended[r]) ::kill(pids[r], SIGKILL);
    }
    if (quiet) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (!first.empty())
    std::fprintf(stderr, "\nerror: %s; the other ranks have left. The same command goes on from the last checkpoint\n", first.c_str());
  return failed ? code : interrupts > 0 ? int(exit_code::interrupted) : 0;
}

}  // namespace tenon::app
