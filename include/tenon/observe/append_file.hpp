#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "tenon/core/error.hpp"

namespace tenon::observe {

/// A file that only grows: logs and event files. Bytes are kept back until flush(), so that a record is written whole.
class append_file {
 public:
  /// Opens or, with `fresh`, creates the file, which must not exist then. Throws tenon::error naming file and reason.
  explicit append_file(std::filesystem::path file, bool fresh = false) : file_(std::move(file)) {
    std::error_code failure;
    if (file_.has_parent_path()) std::filesystem::create_directories(file_.parent_path(), failure);
    descriptor_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | (fresh ? O_EXCL : 0), 0644);
    if (descriptor_ < 0) throw failed("open", errno);
  }
  append_file(append_file&& other) noexcept
      : file_(std::move(other.file_)),
        descriptor_(std::exchange(other.descriptor_, -1)),
        kept_(std::move(other.kept_)) {
    other.kept_.clear();
  }
  append_file& operator=(append_file&& other) noexcept {
    std::swap(file_, other.file_);
    std::swap(descriptor_, other.descriptor_);
    std::swap(kept_, other.kept_);
    return *this;
  }
  ~append_file() {
    if (descriptor_ < 0) return;
    try {
      flush();
    } catch (error const&) {  // who wants to hear of it calls flush()
    }
    ::close(descriptor_);
  }

  /// Adds bytes to those kept back; at 64 KiB they are written.
  void append(std::string_view bytes) {
    kept_ += bytes;
    if (kept_.size() >= std::size_t{1} << 16) flush();
  }

  /// Hands all bytes to the system. Throws tenon::error naming file and reason; what was not written is kept.
  void flush() {
    std::size_t done = 0;
    while (done < kept_.size()) {
      ssize_t const written = ::write(descriptor_, kept_.data() + done, kept_.size() - done);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        int const code = written < 0 ? errno : ENOSPC;
        kept_.erase(0, done);
        throw failed("write to", code);
      }
      done += static_cast<std::size_t>(written);
    }
    kept_.clear();
  }

  /// Cuts off what follows the last newline: the half line of a process that died. Returns how many bytes went.
  std::size_t drop_partial_line() {
    off_t const size = ::lseek(descriptor_, 0, SEEK_END);
    off_t end = size;
    for (char byte = 0; end > 0; --end) {
      if (::pread(descriptor_, &byte, 1, end - 1) != 1) throw failed("read", errno);
      if (byte == '\n') break;
    }
    if (end < size && ::ftruncate(descriptor_, end) != 0) throw failed("shorten", errno);
    return static_cast<std::size_t>(size - end);
  }

  /// Where it is.
  std::filesystem::path const& path() const { return file_; }

 private:
  error failed(char const* action, int code) const {
    return error("could not " + std::string(action) + " '" + file_.string() + "': " + std::strerror(code) +
                 "; free space there or choose another run directory with --run");
  }

  std::filesystem::path file_;
  int descriptor_ = -1;
  std::string kept_;
};

}  // namespace tenon::observe
