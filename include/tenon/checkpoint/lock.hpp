#pragma once
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "tenon/checkpoint/io.hpp"
#include "tenon/core/error.hpp"

namespace tenon::checkpoint {

/// The right to write into a run directory, held while this object lives. The kernel gives it back when the process
/// ends, however it ends, so a lock file left by a dead process is no obstacle.
class run_lock {
 public:
  /// Takes RUN/lock, making the directory if need be. Throws tenon::error naming the process that holds it, or
  /// io_error.
  explicit run_lock(path const& run) : file_(run / "lock") {
    std::error_code failure;
    std::filesystem::create_directories(run, failure);
    if (failure) throw io_error("create", run, failure.value());
    descriptor_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (descriptor_ < 0) throw io_error("open", file_, errno);
    int result;
    do result = ::flock(descriptor_, LOCK_EX | LOCK_NB);
    while (result != 0 && errno == EINTR);
    if (result != 0) {
      int const code = errno;
      std::string const holder = contents();
      ::close(std::exchange(descriptor_, -1));
      if (code != EWOULDBLOCK) throw io_error("lock", file_, code);
      throw error("run '" + run.string() + "' is being written by another process" +
                  (holder.empty() ? "" : " (" + holder + ")") +
                  "; wait for it, stop it, or choose another directory with --run");
    }
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    std::string const text = "pid " + std::to_string(::getpid()) + " on " + host.data() + "\n";
    if (::ftruncate(descriptor_, 0) != 0 ||
        ::pwrite(descriptor_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
      int const code = errno;
      ::close(std::exchange(descriptor_, -1));
      throw io_error("write to", file_, code);
    }
  }
  run_lock(run_lock&& other) noexcept
      : file_(std::move(other.file_)), descriptor_(std::exchange(other.descriptor_, -1)) {}
  run_lock& operator=(run_lock&& other) noexcept {
    std::swap(file_, other.file_);
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~run_lock() {
    if (descriptor_ < 0) return;
    if (::ftruncate(descriptor_, 0) != 0) { /* the words are for people; the lock itself goes with the descriptor */
    }
    ::close(descriptor_);
  }

 private:
  std::string contents() const {
    std::array<char, 300> text{};
    ssize_t const count = ::pread(descriptor_, text.data(), text.size(), 0);
    std::string holder(text.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    return holder;
  }

  path file_;
  int descriptor_ = -1;
};

}  // namespace tenon::checkpoint
