#pragma once
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "tenon/app/command_line.hpp"
#include "tenon/checkpoint/directory.hpp"
#include "tenon/checkpoint/lock.hpp"
#include "tenon/checkpoint/retention.hpp"
#include "tenon/recipe/digests.hpp"

namespace tenon::app {

/// Decides whether a checkpoint may go on under this recipe (DESIGN, promise 8), and says so field by field.
/// Identity must match. A number may differ only where `--change` names it; the change is returned, to be recorded.
/// Layout may differ. Throws tenon::error naming the field and both values.
template <class Recipe>
std::vector<checkpoint::recorded_change> require_same_run(checkpoint::stored_checkpoint const& from, Recipe const& r,
                                                          std::vector<assignment> const& allowed) {
  std::vector<checkpoint::recorded_change> changes;
  auto const now = list_fields(r);
  auto const& before = from.contents.recipe_fields;
  auto const find = [](auto const& list, std::string const& path) -> std::optional<std::string> {
    for (auto const& [p, v] : list)
      if (p == path) return v;
    return std::nullopt;
  };
  std::string const where = "the run was started with ";
  for (auto const& f : now) {
    if (f.belongs_to == digest::none || f.belongs_to == digest::layout) continue;
    auto const old = find(before, f.choice ? "choice " + f.path : f.path);
    if (old == f.value) continue;
    std::string const was = old ? *old : "no such field";
    if (f.belongs_to == digest::identity)
      throw error(where + f.path + " = " + was + " and this program has " + f.path + " = " + f.value +
                  "; that is another model, so it cannot go on. Use another --run directory, or the recipe it was started with");
    bool const asked = std::any_of(allowed.begin(), allowed.end(), [&](assignment const& a) { return a.path == f.path; });
    if (!asked)
      throw error(where + f.path + " = " + was + " and now has " + f.value + "; give the same value again, or write --change " + f.path + "=" +
                  f.value + " to go on with the new one (it is recorded)");
    changes.push_back({from.contents.step, f.path, was, f.value});
  }
  for (auto const& [path, value] : before) {
    bool const known = std::any_of(now.begin(), now.end(), [&](auto const& f) { return path == (f.choice ? "choice " + f.path : f.path); });
    if (!known) throw error(where + path + " = " + value + ", which this program's recipe does not have; use the recipe it was started with");
  }
  return changes;
}

/// The recipe's fields as the manifest keeps them; a policy's own line is marked, since it shares its path with nothing.
template <class Recipe>
std::vector<std::pair<std::string, std::string>> fields_for_manifest(Recipe const& r) {
  std::vector<std::pair<std::string, std::string>> list;
  for (auto const& f : list_fields(r))
    if (f.belongs_to != digest::none) list.emplace_back(f.choice ? "choice " + f.path : f.path, f.value);
  return list;
}

/// Writes a small file whole: to a temporary name, then renamed.
inline void write_text(std::filesystem::path const& to, std::string const& text) {
  auto const temporary = to.string() + ".tmp";
  {
    std::ofstream out(temporary, std::ios::binary);
    out << text;
    if (!out.flush()) throw error("could not write '" + to.string() + "'; is the disk full, or the directory not yours?");
  }
  std::filesystem::rename(temporary, to);
}

}  // namespace tenon::app
