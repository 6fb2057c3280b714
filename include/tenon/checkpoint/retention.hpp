#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "tenon/checkpoint/directory.hpp"
#include "tenon/checkpoint/io.hpp"
#include "tenon/core/error.hpp"

namespace tenon::checkpoint {
namespace detail {

// Takes a directory out of the count in one step, then removes it; what a crash leaves is cleaned at the next start.
template <class Io>
void remove_checkpoint(path const& directory) {
  std::string name = directory.filename().string();
  if (name.front() == '.') name.erase(0, 1);
  path const trash = directory.parent_path() / (".trash-" + name);
  if (std::filesystem::exists(std::filesystem::symlink_status(trash))) (void)remove_tree<Io>(trash);
  if (Io::rename(directory.c_str(), trash.c_str()) != 0) throw io_error("remove", directory, errno);
  if (int const code = remove_tree<Io>(trash); code != 0) throw io_error("remove", trash, code);
}

// Ends a replacement that was cut short: the new checkpoint stays if it verifies, else the old one comes back.
template <class Io>
void settle_replaced(path const& run, std::int64_t step) {
  candidate const old{step, true, root_of(run) / (".replaced-" + step_name(step))};
  candidate const now{step, false, root_of(run) / step_name(step)};
  if (!std::filesystem::exists(std::filesystem::symlink_status(old.directory))) return;
  std::vector<std::string> damage;
  if (!verify_checkpoint<Io>(now, damage) && verify_checkpoint<Io>(old, damage)) {
    if (std::filesystem::exists(std::filesystem::symlink_status(now.directory))) remove_checkpoint<Io>(now.directory);
    if (Io::rename(old.directory.c_str(), now.directory.c_str()) != 0) throw io_error("restore", now.directory, errno);
    sync_directory<Io>(root_of(run));
  } else {
    remove_checkpoint<Io>(old.directory);
  }
}

}  // namespace detail

/// Removes what writers that died left behind and settles replacements cut short. Call it once at start, holding the
/// run's lock. Returns the names removed or settled. Throws io_error.
template <class Io = posix_io>
std::vector<std::string> clean_checkpoints(path const& run) {
  std::vector<std::string> names, cleaned;
  std::error_code failure;
  for (auto entry = std::filesystem::directory_iterator(root_of(run), failure);
       !failure && entry != std::filesystem::directory_iterator(); entry.increment(failure))
    names.push_back(entry->path().filename().string());
  if (failure && failure != std::errc::no_such_file_or_directory) throw io_error("list", root_of(run), failure.value());
  for (auto const& name : names) {
    if (name.rfind(".replaced-", 0) == 0) {
      auto const step = step_of(name.substr(10));
      if (!step) continue;
      detail::settle_replaced<Io>(run, *step);
    } else if (name.rfind(".tmp-", 0) == 0 || name.rfind(".trash-", 0) == 0) {
      path const left = root_of(run) / name;
      bool const folder = std::filesystem::symlink_status(left).type() == std::filesystem::file_type::directory;
      int const code = folder ? remove_tree<Io>(left) : Io::unlink(left.c_str()) != 0 ? errno : 0;
      if (code != 0 && code != ENOENT) throw io_error("remove", left, code);
    } else {
      continue;
    }
    cleaned.push_back(name);
  }
  return cleaned;
}

/// What prune_checkpoints did.
struct prune_result {
  std::vector<path> removed;
  std::vector<std::string> damaged;  ///< newer checkpoints that did not verify; they are left in place
};

/// Keeps the newest checkpoint that verifies when read back from the disk and the `keep` - 1 before it, and removes
/// older ones. Removes nothing if none verifies. Throws tenon::error if `keep` is below 1, io_error if a removal fails.
template <class Io = posix_io>
prune_result prune_checkpoints(path const& run, std::int64_t keep) {
  if (keep < 1)
    throw error("checkpoint.keep must be at least 1, else nothing could be resumed; it is " + std::to_string(keep));
  prune_result result;
  std::int64_t kept = 0;
  for (auto const& where : list_checkpoints(run)) {
    if (kept == 0) {
      if (verify_checkpoint<Io>(where, result.damaged)) kept = 1;
    } else if (kept < keep) {
      ++kept;
    } else {
      detail::remove_checkpoint<Io>(where.directory);
      result.removed.push_back(where.directory);
    }
  }
  return result;
}

}  // namespace tenon::checkpoint
