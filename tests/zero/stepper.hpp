#pragma once
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

/// Instructions that f() takes, counted one by one: a child stops before and after, and the parent single-steps it in
/// between. Exact and repeatable, on any CPU and beside any other program. Ends the program where the system forbids it.
template <class F>
std::int64_t instructions_of(F&& f) {
  pid_t const child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(3);
    ::raise(SIGSTOP);
    f();
    ::raise(SIGSTOP);
    ::_exit(0);
  }
  int status = 0;
  auto const give_up = [&](char const* what) {
    std::fprintf(stderr, "zero: %s; this system does not let a process step its own child (ptrace), without which "
                 "instructions cannot be counted\n", what);
    ::kill(child, SIGKILL);
    std::exit(3);
  };
  if (child < 0 || ::waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status)) give_up("the child did not stop");
  std::int64_t count = 0;
  for (;; ++count) {
    if (::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0) give_up("the child could not be stepped");
    if (::waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status)) give_up("the child ended early");
    if (WSTOPSIG(status) == SIGSTOP) break;
    if (WSTOPSIG(status) != SIGTRAP) give_up("the child crashed");
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return count;
}
