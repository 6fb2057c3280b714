#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "tenon/core/error.hpp"
#include "tenon/core/sha256.hpp"

namespace tenon::checkpoint {

using path = std::filesystem::path;

/// A call to the operating system that failed: which file and which errno. what() says it in one sentence.
struct io_error : error {
  io_error(std::string_view action, path const& where, int code)
      : error("could not " + std::string(action) + " '" + where.string() + "': " + std::strerror(code) + advice(code)),
        file(where),
        code(code) {}

  path file;
  int code;

 private:
  static char const* advice(int code) {
    switch (code) {
      case ENOSPC:
      case EDQUOT:
        return "; free some space there, or choose another run directory with --run";
      case EACCES:
      case EPERM:
      case EROFS:
        return "; choose a run directory that this user may write, with --run";
      case EIO:
        return "; the disk reports a fault, so look at the system's log before trusting it again";
      case EMFILE:
      case ENFILE:
        return "; raise the limit of open files (ulimit -n)";
      default:
        return "";
    }
  }
};

/// The checkpoint is complete and in its place, but the directory entry may not survive a power loss.
struct durability_uncertain : io_error {
  using io_error::io_error;
};

/// The system calls that a checkpoint makes, as a policy: tests replace it by one that fails or dies at the N-th call.
struct posix_io {
  static int open(char const* file, int flags, mode_t mode) { return ::open(file, flags, mode); }
  static ssize_t write(int descriptor, void const* data, std::size_t size) { return ::write(descriptor, data, size); }
  static ssize_t read(int descriptor, void* data, std::size_t size) { return ::read(descriptor, data, size); }
  static int fsync(int descriptor) { return ::fsync(descriptor); }
  static int close(int descriptor) { return ::close(descriptor); }
  static int rename(char const* from, char const* to) { return std::rename(from, to); }
  static int mkdir(char const* directory, mode_t mode) { return ::mkdir(directory, mode); }
  static int unlink(char const* file) { return ::unlink(file); }
  static int rmdir(char const* directory) { return ::rmdir(directory); }
  static int symlink(char const* target, char const* link) { return ::symlink(target, link); }
};

/// A file being written for the first time: every byte counted and hashed on its way to the disk.
template <class Io = posix_io>
class output_file {
 public:
  /// Creates the file; it must not exist. Throws io_error.
  explicit output_file(path file) : file_(std::move(file)) {
    descriptor_ = Io::open(file_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (descriptor_ < 0) throw io_error("create", file_, errno);
  }
  output_file(output_file const&) = delete;
  output_file& operator=(output_file const&) = delete;
  ~output_file() {
    if (descriptor_ >= 0) Io::close(descriptor_);
  }

  /// Writes all bytes; short writes and interruptions are carried on, anything else throws io_error.
  void write(void const* data, std::size_t size) {
    auto const* bytes = static_cast<char const*>(data);
    while (size > 0) {
      std::size_t const piece = std::min<std::size_t>(size, 1 << 22);
      ssize_t const written = Io::write(descriptor_, bytes, piece);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) throw io_error("write to", file_, errno);
      if (written == 0) throw io_error("write to", file_, ENOSPC);
      hash_.update(bytes, static_cast<std::size_t>(written));
      bytes += written;
      size -= static_cast<std::size_t>(written);
      size_ += static_cast<std::uint64_t>(written);
    }
  }

  /// Brings the bytes to the disk, compares the file's length with what was written, and closes. A failed fsync is
  /// never tried again: the kernel may have dropped the pages.
  void finish() {
    if (Io::fsync(descriptor_) != 0) throw io_error("bring to the disk (fsync)", file_, errno);
    struct stat facts {};
    if (::fstat(descriptor_, &facts) != 0) throw io_error("look at", file_, errno);
    if (static_cast<std::uint64_t>(facts.st_size) != size_) throw io_error("write all bytes of", file_, EIO);
    int const descriptor = std::exchange(descriptor_, -1);
    if (Io::close(descriptor) != 0 && errno != EINTR) throw io_error("close", file_, errno);
    digest_ = hash_.hex();
  }

  /// Bytes written so far.
  std::uint64_t size() const { return size_; }
  /// SHA-256 of them in hex; valid after finish().
  std::string const& sha256() const { return digest_; }

 private:
  path file_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  tenon::sha256 hash_;
  std::string digest_;
};

/// Calls `take(bytes, count)` for the file's bytes in order, read from the disk rather than from a stale cache where
/// the system allows that. Refuses anything but a regular file. Throws io_error.
template <class Io = posix_io, class Take>
void read_file(path const& file, Take take) {
  int const descriptor = Io::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
  if (descriptor < 0) throw io_error("open", file, errno);
  struct closer {
    int descriptor;
    ~closer() { Io::close(descriptor); }
  } const close_at_end{descriptor};
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0) throw io_error("look at", file, errno);
  if (!S_ISREG(facts.st_mode)) throw io_error("read as a file", file, S_ISDIR(facts.st_mode) ? EISDIR : EINVAL);
  (void)::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  std::string buffer(std::size_t{1} << 20, '\0');
  for (;;) {
    ssize_t const count = Io::read(descriptor, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw io_error("read", file, errno);
    if (count == 0) return;
    take(buffer.data(), static_cast<std::size_t>(count));
  }
}

/// Brings a directory's entries to the disk. Throws `Error`.
template <class Io = posix_io, class Error = io_error>
void sync_directory(path const& directory) {
  int const descriptor = Io::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (descriptor < 0) throw Error("open", directory, errno);
  bool const failed = Io::fsync(descriptor) != 0;
  int const code = errno;
  Io::close(descriptor);
  if (failed) throw Error("bring to the disk (fsync)", directory, code);
}

/// Removes a directory and all in it, links not followed. Returns 0 or the errno of the first call that failed.
template <class Io = posix_io>
int remove_tree(path const& directory) {
  std::error_code failure;
  int first = 0;
  for (auto entry = std::filesystem::directory_iterator(directory, failure);
       !failure && entry != std::filesystem::directory_iterator(); entry.increment(failure)) {
    std::error_code ignored;
    bool const folder = entry->symlink_status(ignored).type() == std::filesystem::file_type::directory;
    int const code = folder ? remove_tree<Io>(entry->path()) : Io::unlink(entry->path().c_str()) != 0 ? errno : 0;
    if (first == 0) first = code;
  }
  if (first == 0 && failure) first = failure.value();
  if (Io::rmdir(directory.c_str()) != 0 && first == 0) first = errno;
  return first;
}

}  // namespace tenon::checkpoint
