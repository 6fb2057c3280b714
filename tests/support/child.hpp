#pragma once
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

/// A program run as a child process of this one, without exec: what main(argc, argv) would do, killed or stopped at
/// will.
class child {
 public:
  template <class Main>
  child(Main main, std::vector<std::string> arguments, std::filesystem::path output) : output_(std::move(output)) {
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ != 0) return;
    int const to = ::open(output_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(to, 1), ::dup2(to, 2);
    std::vector<char const*> argv{"trainer"};
    for (auto const& a : arguments) argv.push_back(a.c_str());
    int const code = main(int(argv.size()), argv.data());
    std::fflush(nullptr);
    ::_exit(code);
  }
  child(child const&) = delete;
  child& operator=(child const&) = delete;
  ~child() {
    if (!done_) send(SIGKILL), wait();
  }
  pid_t id() const { return pid_; }
  void send(int signal) { ::kill(pid_, signal); }
  /// The exit code, or 1000 + the signal that ended it.
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    done_ = true;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  /// What it has printed so far.
  std::string printed() const {
    std::ifstream in(output_, std::ios::binary);
    std::ostringstream all;
    all << in.rdbuf();
    return all.str();
  }
  /// Waits until `ready()`; false after `seconds`.
  template <class Ready>
  bool until(Ready ready, double seconds = 120) {
    auto const end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < end) {
      if (ready()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }

 private:
  pid_t pid_;
  bool done_ = false;
  std::filesystem::path output_;
};
