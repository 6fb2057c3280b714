#pragma once
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/app/command_line.hpp"
#include "tenon/app/recipe_file.hpp"
#include "tenon/app/recipe_source.hpp"
#include "tenon/recipe/digests.hpp"
#include "tenon/recipe/json.hpp"

/// The programs behind `./tenon describe` and `./tenon diff`: what a recipe says, and in what two differ, without LibTorch.
namespace tenon::app {

inline constexpr std::string_view describe_usage =
    "./tenon describe [RECIPE.hpp] [--symbol NAME] [--json | --markdown] [--recipe FILE] [--FIELD=VALUE ...]\n"
    "  every choice and field: value, class, and whether it was set here, inherited or left to its default; the digests.\n"
    "  --json           for programs, with the digest that each field belongs to\n"
    "  --markdown       as a table, likewise\n"
    "  --recipe FILE, --FIELD=VALUE: as in ./tenon train --help\n";

inline constexpr std::string_view diff_usage =
    "./tenon diff A.hpp [--symbol NAME] B.hpp [--symbol NAME] [--json]\n"
    "  the fields in which two recipes differ, and what that means for a checkpoint; each NAME is of the recipe before it.\n"
    "  Returns 0 where they are the same, 1 where they differ, 2 where the command line is not understood\n";

/// Field differences for programs: path, value before and after (null where a recipe has no such field), digest.
inline nlohmann::ordered_json differences_json(std::vector<field_difference> const& found) {
  auto all = nlohmann::ordered_json::array();
  auto const value = [](std::string const& v) { return v.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(v); };
  for (auto const& d : found)
    all.push_back({{"path", d.path}, {"before", value(d.before)}, {"after", value(d.after)}, {"digest", to_text(d.belongs_to)}});
  return all;
}

/// Takes a switch out of the arguments; whether it was there.
inline bool take_switch(std::vector<char const*>& arguments, std::string_view name) {
  auto const first = arguments.empty() ? arguments.end() : arguments.begin() + 1;
  auto const last = std::remove_if(first, arguments.end(), [&](char const* a) { return a == name; });
  bool const found = last != arguments.end();
  arguments.erase(last, arguments.end());
  return found;
}

/// What `./tenon describe` prints of a recipe's value.
template <class Recipe>
std::string describe_text(Recipe const& r) {
  auto const d = digests(r);
  return describe(r) + "\ndigests  identity " + d.identity + "\n         layout   " + d.layout + "\n         numbers  " +
         d.numbers + "\n";
}

/// The same for programs: its digests, and describe_json.
template <class Recipe>
nlohmann::ordered_json described_json(Recipe const& r) {
  auto const d = digests(r);
  return {{"digests", {{"identity", d.identity}, {"layout", d.layout}, {"numbers", d.numbers}}}, {"fields", describe_json(r)}};
}

/// main of a description's program. Returns 0, or 2 where the command line is not understood or breaks a rule.
template <auto const& R>
int describe_main(int argc, char const* const* argv, recipe_source const&) {
  static_assert(legal<R>);
  try {
    std::vector<char const*> arguments(argv, argv + argc);
    bool const json = take_switch(arguments, "--json"), markdown = take_switch(arguments, "--markdown");
    if (json && markdown) throw error("--json and --markdown are two forms; give one");
    std::remove_cvref_t<decltype(R)> r = R;
    int const count = int(arguments.size());
    if (auto const file = recipe_file(count, arguments.data()); !file.empty()) read_recipe(file, r);
    auto const c = parse(count, arguments.data(), r);
    if (c.help) return std::fputs(std::string(describe_usage).c_str(), stdout), 0;
    std::string const text = json       ? described_json(r).dump(2) + "\n"
                             : markdown ? describe_markdown(r)
                                        : describe_text(r);
    std::fputs(text.c_str(), stdout);
    return 0;
  } catch (std::exception const& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 2;
  }
}

/// What it means for a checkpoint that two recipes differ in these fields.
inline std::string meaning_of(std::vector<field_difference> const& found) {
  auto const in = [&](digest d) {
    return std::any_of(found.begin(), found.end(), [&](auto const& f) { return f.belongs_to == d; });
  };
  if (in(digest::identity))
    return "a checkpoint of one is not one of the other: another identity needs a tenon::migration (docs/checkpoints.md)";
  if (in(digest::numbers)) return "a checkpoint of one goes on as the other where --change names each field of numbers";
  if (in(digest::layout)) return "a checkpoint of one goes on as the other; the last bits may differ from here on";
  return found.empty() ? "the recipes are the same" : "a checkpoint of one goes on as the other, bit for bit";
}

/// What `./tenon diff` prints.
inline std::string diff_text(std::vector<field_difference> const& found) {
  return to_text(found) + (found.empty() ? "" : "\n") + meaning_of(found) + "\n";
}

/// main of a comparison's program.
template <auto const& A, auto const& B>
int diff_main(int argc, char const* const* argv) {
  static_assert(legal<A> && legal<B>);
  try {
    std::vector<char const*> arguments(argv, argv + argc);
    bool const json = take_switch(arguments, "--json"), help = take_switch(arguments, "--help");
    if (arguments.size() > 1) throw error("./tenon diff has no option " + std::string(arguments[1]) + "; there is --json");
    if (help) return std::fputs(std::string(diff_usage).c_str(), stdout), 0;
    auto const found = diff(A, B);
    std::fputs((json ? differences_json(found).dump(2) + "\n" : diff_text(found)).c_str(), stdout);
    return found.empty() ? 0 : 1;
  } catch (std::exception const& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 2;
  }
}

}  // namespace tenon::app
