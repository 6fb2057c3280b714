#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/core/sha256.hpp"
#include "tenon/recipe/fields.hpp"

namespace tenon {

/// The three digests of a recipe, each 64 hexadecimal digits: SHA-256 of canonical(recipe, ...).
struct recipe_digests {
  std::string identity, layout, numbers;
  friend bool operator==(recipe_digests const&, recipe_digests const&) = default;
};

/// The text that a digest is taken over: a first line that names the format and the digest, then "path = value" for
/// each choice and field that belongs to it, in the order of the recipe. No compiler's type name is in it.
template <class Recipe>
std::string canonical(Recipe const& r, digest d) {
  std::string all = "tenon recipe 1 " + to_text(d) + "\n";
  for (auto const& f : list_fields(r))
    if (f.belongs_to == d) all += f.path + " = " + f.value + "\n";
  return all;
}

/// The digests of a recipe's value.
template <class Recipe>
recipe_digests digests(Recipe const& r) {
  return {sha256::hex_of(canonical(r, digest::identity)), sha256::hex_of(canonical(r, digest::layout)),
          sha256::hex_of(canonical(r, digest::numbers))};
}

/// A field whose value differs between two lists; empty where one of them has no such field.
struct field_difference {
  std::string path, before, after;
  digest belongs_to;
};

/// What differs between two recipes, given as lists of fields (of the manifest of a checkpoint, and of this program).
inline std::vector<field_difference> differences(std::vector<field_entry> const& before,
                                                 std::vector<field_entry> const& after) {
  std::vector<field_difference> found;
  auto const value_in = [](std::vector<field_entry> const& list, field_entry const& f) -> std::string {
    for (auto const& g : list)
      if (g.path == f.path && g.choice == f.choice) return g.value;
    return {};
  };
  for (auto const& f : before)
    if (auto const now = value_in(after, f); now != f.value) found.push_back({f.path, f.value, now, f.belongs_to});
  for (auto const& f : after)
    if (value_in(before, f).empty() && !f.value.empty()) found.push_back({f.path, {}, f.value, f.belongs_to});
  return found;
}

/// Whether a path is among those that were changed on purpose; changing a policy covers its fields.
inline bool is_changed(std::string_view path, std::vector<std::string> const& changed) {
  for (auto const& c : changed)
    if (path == c || (path.size() > c.size() && path.substr(0, c.size()) == c && path[c.size()] == '.')) return true;
  return false;
}

/// Throws tenon::error, naming the field, where a run saved with the fields `saved` must not be resumed with the fields
/// `now`: another identity never, other numbers only for the paths in `changed` (from --change). Layout may differ.
inline void require_same_run(std::vector<field_entry> const& saved, std::vector<field_entry> const& now,
                             std::vector<std::string> const& changed) {
  auto const value = [](std::string const& v) { return v.empty() ? std::string("not there") : v; };
  auto const found = differences(saved, now);
  for (auto const& d : found)
    if (d.belongs_to == digest::identity)
      throw error("the checkpoint is of another model or optimizer: " + d.path + " is " + value(d.before) +
                  " in it and " + value(d.after) +
                  " in this program; give another --run, or build the recipe it was made with");
  for (auto const& d : found)
    if (d.belongs_to == digest::numbers && !is_changed(d.path, changed))
      throw error("this run was started with " + d.path + " = " + value(d.before) + ", and now it is " +
                  value(d.after) + "; to change it on purpose add --change " + d.path + "=" +
                  (d.after.empty() ? "..." : d.after) + ", else give another --run");
}

}  // namespace tenon
