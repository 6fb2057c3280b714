#pragma once
#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/core/sha256.hpp"
#include "tenon/recipe/canonical.hpp"
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
  std::string all;
  auto sink = [&](std::string_view piece) { all += piece; };
  switch (d) {
    case digest::identity:
      canonical_text::write_recipe<digest::identity>(sink, r);
      break;
    case digest::layout:
      canonical_text::write_recipe<digest::layout>(sink, r);
      break;
    case digest::numbers:
      canonical_text::write_recipe<digest::numbers>(sink, r);
      break;
    case digest::none:
      canonical_text::write_recipe<digest::none>(sink, r);
      break;
  }
  return all;
}

/// The digests of a recipe's value.
template <class Recipe>
recipe_digests digests(Recipe const& r) {
  return {sha256::hex(canonical_text::hash<digest::identity>(r)), sha256::hex(canonical_text::hash<digest::layout>(r)),
          sha256::hex(canonical_text::hash<digest::numbers>(r))};
}

/// A recipe's digests as a line of text in the program, so that a binary can be asked which recipe it was built from
/// without being run: strings PROGRAM | grep 'tenon recipe'. Made by the compiler, unless a number needs more than 15
/// digits or a policy has types of its own (then when the program starts).
class digest_note {
 public:
  template <class Recipe>
  explicit constexpr digest_note(Recipe const& r) {
    auto put = [this](std::string_view piece) {
      for (char const c : piece) text_[size_++] = c;
    };
    auto const hex = [&](sha256::digest_type const& d) {
      constexpr std::string_view digits = "0123456789abcdef";
      for (auto const byte : d) put(digits.substr(byte >> 4, 1)), put(digits.substr(byte & 15, 1));
    };
    put("tenon recipe: identity "), hex(canonical_text::hash<digest::identity>(r));
    put(" layout "), hex(canonical_text::hash<digest::layout>(r));
    put(" numbers "), hex(canonical_text::hash<digest::numbers>(r));
  }
  /// "tenon recipe: identity ... layout ... numbers ...", each 64 hexadecimal digits.
  constexpr char const* text() const { return text_; }

 private:
  char text_[256]{};  ///< ends with 0
  std::size_t size_ = 0;
};

/// Whether the compiler can make a recipe's note. Asked apart: g++ makes a constant only of what is declared as one.
template <auto const& R>
concept noted_when_compiling = requires {
  typename std::bool_constant<(digest_note{R}.text()[0] != 0)>;
};

/// The note of a recipe as it was compiled in.
template <auto const& R>
inline const digest_note compiled_digests{R};
template <auto const& R>
requires noted_when_compiling<R>
inline constexpr digest_note compiled_digests<R>{R};

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

/// The fields in which two recipes differ, in the order of the first.
template <class A, class B>
std::vector<field_difference> diff(A const& before, B const& after) {
  return differences(list_fields(before), list_fields(after));
}

/// A table of them: path, value before, value after, digest; "-" where one recipe has no such field.
inline std::string to_text(std::vector<field_difference> const& found) {
  std::size_t path = 0, before = 0, after = 0;
  auto const shown = [](std::string const& v) { return v.empty() ? std::string("-") : v; };
  for (auto const& d : found)
    path = std::max(path, d.path.size()), before = std::max(before, shown(d.before).size()),
    after = std::max(after, shown(d.after).size());
  auto const padded = [](std::string text, std::size_t width) {
    text.resize(width + 2, ' ');
    return text;
  };
  std::string all;
  for (auto const& d : found)
    all += padded(d.path, path) + padded(shown(d.before), before) + padded(shown(d.after), after) + to_text(d.belongs_to) + "\n";
  return all;
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
