#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/checkpoint/directory.hpp"
#include "tenon/checkpoint/io.hpp"
#include "tenon/checkpoint/manifest.hpp"
#include "tenon/checkpoint/retention.hpp"
#include "tenon/checkpoint/safetensors.hpp"
#include "tenon/core/error.hpp"

namespace tenon::checkpoint {

/// Where a checkpoint went; `note` is a sentence if the hint `latest` could not be set or the checkpoint that this one
/// replaces could not be removed (the next start does it), else empty.
struct commit_result {
  path directory;
  std::string note;
};

/// One checkpoint being written: complete or absent, whatever happens in between. Files go into a temporary directory
/// beside the others and are brought to the disk one by one; commit() adds the manifest, brings the directory to the
/// disk, renames it into place and brings the parent to the disk. Hold the run's lock. Every failure throws io_error
/// (file and errno), the temporary directory is removed, and earlier checkpoints are as they were.
template <class Io = posix_io>
class transaction {
 public:
  /// Makes the temporary directory for `step` under RUN/checkpoints, and these if they are missing.
  transaction(path run, std::int64_t step) : run_(std::move(run)), step_(step) {
    if (step < 0) throw error("a checkpoint's step cannot be negative; it is " + std::to_string(step));
    make_directory(run_);
    make_directory(root_of(run_));
    for (int attempt = 0; temporary_.empty(); ++attempt) {
      path const name = root_of(run_) /
                        (".tmp-" + step_name(step) + "-" + std::to_string(::getpid()) + "-" + std::to_string(attempt));
      if (Io::mkdir(name.c_str(), 0755) == 0)
        temporary_ = name;
      else if (errno != EEXIST || attempt == 1000)
        throw io_error("create", name, errno);
    }
  }
  transaction(transaction const&) = delete;
  transaction& operator=(transaction const&) = delete;
  /// Not committed: the temporary directory goes.
  ~transaction() {
    if (!temporary_.empty()) (void)remove_tree<Io>(temporary_);
  }

  /// Adds a safetensors file; see write_safetensors.
  void add_tensors(std::string const& name, std::vector<tensor_view> tensors, tensor_metadata const& metadata = {}) {
    add(name, [&](auto& file) { return write_safetensors(file, std::move(tensors), metadata); });
  }

  /// Adds a file with these bytes.
  void add_bytes(std::string const& name, std::string_view bytes) {
    add(name, [&](auto& file) {
      file.write(bytes.data(), bytes.size());
      return std::map<std::string, std::string>();
    });
  }

  /// Writes the manifest and puts the checkpoint in its place. `contents.step` must be the step of this transaction;
  /// `contents.files` is filled in. A checkpoint of the same step is replaced: it counts until the new one does. Throws
  /// durability_uncertain if all is in place and only the last fsync failed.
  commit_result commit(manifest contents) {
    if (!intact_) throw error("a checkpoint of which a file could not be written cannot be committed; save again");
    if (contents.step != step_)
      throw error("the manifest is of step " + std::to_string(contents.step) + " and its checkpoint of step " +
                  std::to_string(step_) + "; both must be the same");
    contents.files = std::move(files_);
    std::string const text = manifest_text(contents);
    intact_ = false;
    output_file<Io> file(temporary_ / "manifest.json");
    file.write(text.data(), text.size());
    file.finish();
    sync_directory<Io>(temporary_);
    path const target = root_of(run_) / step_name(step_);
    path const aside = root_of(run_) / (".replaced-" + step_name(step_));
    detail::settle_replaced<Io>(run_, step_);
    bool const replaces = std::filesystem::exists(std::filesystem::symlink_status(target));
    if (replaces && Io::rename(target.c_str(), aside.c_str()) != 0) throw io_error("move aside", target, errno);
    if (Io::rename(temporary_.c_str(), target.c_str()) != 0) {
      int const code = errno;
      if (replaces) (void)Io::rename(aside.c_str(), target.c_str());
      throw io_error("move into place", target, code);
    }
    temporary_.clear();
    sync_directory<Io, durability_uncertain>(root_of(run_));
    commit_result result{target, point_latest_at(step_name(step_))};
    try {
      if (replaces) detail::remove_checkpoint<Io>(aside);
    } catch (io_error const& failure) {
      result.note = failure.what();
    }
    return result;
  }

 private:
  template <class Write>
  void add(std::string const& name, Write write) {
    if (!allowed_file_name(name))
      throw error("'" + name + "' cannot be the name of a file in a checkpoint; use letters, digits, '.', '_' and '-'");
    if (files_.count(name) != 0)
      throw error("file '" + name + "' is already in this checkpoint; give each another name");
    intact_ = false;
    output_file<Io> file(temporary_ / name);
    auto tensors = write(file);
    file.finish();
    files_.emplace(name, file_facts{file.size(), file.sha256(), std::move(tensors)});
    intact_ = true;
  }

  void make_directory(path const& directory) {
    std::error_code ignored;
    if (std::filesystem::is_directory(directory, ignored)) return;
    if (directory.has_parent_path()) make_directory(directory.parent_path());
    if (Io::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) throw io_error("create", directory, errno);
    sync_directory<Io>(directory.has_parent_path() ? directory.parent_path() : path("."));
  }

  std::string point_latest_at(std::string const& name) {
    path const link = root_of(run_) / ".tmp-latest", latest = root_of(run_) / "latest";
    (void)Io::unlink(link.c_str());
    if (Io::symlink(name.c_str(), link.c_str()) == 0 && Io::rename(link.c_str(), latest.c_str()) == 0) return "";
    int const code = errno;
    (void)Io::unlink(link.c_str());
    return io_error("point to the newest checkpoint", latest, code).what();
  }

  path run_;
  std::int64_t step_;
  path temporary_;
  std::map<std::string, file_facts> files_;
  bool intact_ = true;
};

}  // namespace tenon::checkpoint
