#pragma once
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tenon/checkpoint/io.hpp"
#include "tenon/checkpoint/manifest.hpp"
#include "tenon/checkpoint/safetensors.hpp"
#include "tenon/core/error.hpp"

// RUN/checkpoints/step_00001000/{model.safetensors, optimizer.safetensors, ..., manifest.json}. A checkpoint counts
// when its manifest and every file in it verify; the link `latest` is only a hint. Names that begin with a dot are in
// transit:
//   .tmp-*            being written, or left by a writer that died
//   .trash-*          being removed
//   .replaced-step_*  moved aside for a second save of the same step; counts as that step until the new one is in place

namespace tenon::checkpoint {

/// The directory of all checkpoints of a run.
inline path root_of(path const& run) { return run / "checkpoints"; }

/// "step_00001000".
inline std::string step_name(std::int64_t step) {
  std::string digits = std::to_string(step);
  if (digits.size() < 8) digits.insert(0, 8 - digits.size(), '0');
  return "step_" + digits;
}

/// The step in a name that step_name made, or nothing.
inline std::optional<std::int64_t> step_of(std::string_view name) {
  if (name.substr(0, 5) != "step_") return std::nullopt;
  std::int64_t step = 0;
  auto const [end, failure] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
  if (failure != std::errc() || end != name.data() + name.size() || step_name(step) != name) return std::nullopt;
  return step;
}

/// A directory that may hold a checkpoint.
struct candidate {
  std::int64_t step;
  bool replaced;  ///< moved aside for a second save of this step
  path directory;
};

/// All of them, newest first. Throws io_error if the directory cannot be read; a run without one has none.
inline std::vector<candidate> list_checkpoints(path const& run) {
  std::vector<candidate> found;
  std::error_code failure;
  for (auto entry = std::filesystem::directory_iterator(root_of(run), failure);
       !failure && entry != std::filesystem::directory_iterator(); entry.increment(failure)) {
    std::string const name = entry->path().filename().string();
    bool const replaced = name.rfind(".replaced-", 0) == 0;
    std::error_code ignored;
    if (entry->symlink_status(ignored).type() != std::filesystem::file_type::directory) continue;
    if (auto const step = step_of(replaced ? name.substr(10) : name)) found.push_back({*step, replaced, entry->path()});
  }
  if (failure && failure != std::errc::no_such_file_or_directory) throw io_error("list", root_of(run), failure.value());
  std::sort(found.begin(), found.end(),
            [](auto const& a, auto const& b) { return a.step != b.step ? a.step > b.step : a.replaced < b.replaced; });
  return found;
}

/// Whether a file of a checkpoint may have this name: letters, digits, '.', '_' and '-', no leading dot, no path.
inline bool allowed_file_name(std::string const& name) {
  return !name.empty() && name.size() <= 128 && name.front() != '.' && name != "manifest.json" &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return c < 128 && (std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-');
         });
}

/// A checkpoint that has been read and verified.
struct stored_checkpoint {
  path directory;
  manifest contents;
};

namespace detail {

// What is wrong with one file, or an empty string.
template <class Io>
std::string damage_of(path const& file, file_facts const& expected) {
  tenon::sha256 hash;
  std::uint64_t size = 0;
  try {
    read_file<Io>(file, [&](char const* bytes, std::size_t count) {
      hash.update(bytes, count);
      size += count;
    });
    if (size != expected.size)
      return "it has " + std::to_string(size) + " bytes instead of " + std::to_string(expected.size);
    if (hash.hex() == expected.sha256) return "";
    if (expected.tensors.empty()) return "its bytes have changed (SHA-256)";
    safetensors_file const tensors(file);
    std::string names;
    for (auto const& [name, checksum] : expected.tensors) {
      auto const found = tensors.tensors().find(name);
      if (found == tensors.tensors().end()) return "tensor '" + name + "' is gone";
      if (hex_of(crc32c(found->second.bytes.data(), found->second.bytes.size())) == checksum) continue;
      if (names.size() > 200) return "tensors " + names + " and more have changed";
      names += (names.empty() ? "'" : ", '") + name + "'";
    }
    return names.empty() ? "its header has changed" : "tensor " + names + " has changed (CRC-32C)";
  } catch (error const& failure) {
    return failure.what();
  }
}

}  // namespace detail

/// Reads every byte of one checkpoint and compares it with its manifest. Returns it, or nothing with one sentence added
/// to `damage` that names file, tensor and reason. Throws tenon::error if the checkpoint is whole but of another
/// version of tenon, since silently taking an older one instead would lose work.
template <class Io = posix_io>
std::optional<stored_checkpoint> verify_checkpoint(candidate const& where, std::vector<std::string>& damage) {
  auto const damaged = [&](std::string const& file, std::string const& why) {
    damage.push_back("checkpoint '" + where.directory.string() + "' is damaged: " + file + ": " + why);
    return std::nullopt;
  };
  path const manifest_file = where.directory / "manifest.json";
  std::string text;
  try {
    read_file<Io>(manifest_file, [&](char const* bytes, std::size_t count) { text.append(bytes, count); });
  } catch (io_error const& failure) {
    return damaged("manifest.json", failure.what());
  }
  auto body = checked_manifest_body(text);
  if (!body) return damaged("manifest.json", "its text does not agree with its own SHA-256");
  stored_checkpoint result{where.directory, manifest_from_json(std::move(*body), manifest_file.string())};
  if (result.contents.step != where.step)
    return damaged("manifest.json", "it belongs to step " + std::to_string(result.contents.step));
  for (auto const& [name, facts] : result.contents.files) {
    if (!allowed_file_name(name))
      return damaged("manifest.json", "it lists a file '" + name + "' that may not be there");
    if (auto const why = detail::damage_of<Io>(where.directory / name, facts); !why.empty()) return damaged(name, why);
  }
  return result;
}

/// What newest_valid found.
struct search_result {
  std::optional<stored_checkpoint> newest;
  std::vector<std::string> damaged;  ///< one sentence for each newer checkpoint that did not verify
};

/// The newest checkpoint of the run that verifies, walking back over damaged ones. If `newest` is empty and `damaged`
/// is not, there were checkpoints and none can be used. Throws io_error, or tenon::error as verify_checkpoint does.
template <class Io = posix_io>
search_result newest_valid(path const& run) {
  search_result result;
  for (auto const& where : list_checkpoints(run))
    if ((result.newest = verify_checkpoint<Io>(where, result.damaged))) break;
  return result;
}

}  // namespace tenon::checkpoint
