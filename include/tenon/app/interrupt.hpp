#pragma once
#include <unistd.h>

#include <atomic>
#include <csignal>

namespace tenon::app {

/// How a run ends, as the program's exit code. Documented in docs/getting-started.md.
enum class exit_code : int {
  done = 0,
  failed = 1,       ///< something went wrong while running; the sentence says what
  refused = 2,      ///< a rule or the command line says that this cannot be run; no step was taken
  interrupted = 3,  ///< Ctrl-C or SIGTERM: everything is saved, the same command goes on from here
  rank_lost = 4,    ///< another rank died or hung; the same command goes on from the last checkpoint
  at_once = 130     ///< a second Ctrl-C: left without saving; the last checkpoint is whole
};

namespace detail {
inline std::atomic<int> interrupts{0};
static_assert(std::atomic<int>::is_always_lock_free);
inline void on_signal(int) {
  if (interrupts.fetch_add(1) == 0) return;
  constexpr char sentence[] = "\nleft at once: nothing was saved since the last checkpoint\n";
  [[maybe_unused]] auto const written = ::write(2, sentence, sizeof sentence - 1);
  ::_exit(static_cast<int>(exit_code::at_once));
}
}  // namespace detail

/// From here on the first Ctrl-C, SIGTERM or SIGHUP (a closed terminal) is noted and the second leaves at once. Commits
/// are atomic, so leaving at once harms nothing that was saved. A reader of the output that goes away stops nothing.
inline void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = detail::on_signal;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGHUP, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}
inline bool interrupted() { return detail::interrupts.load(std::memory_order_relaxed) > 0; }

}  // namespace tenon::app
