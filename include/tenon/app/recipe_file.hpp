#pragma once
#include <fstream>
#include <string>
#include <string_view>

#include "tenon/recipe/json.hpp"

namespace tenon::app {

/// The FILE of `--recipe FILE`, or nothing: it is read before the overrides, which then have the last word.
inline std::string recipe_file(int argc, char const* const* argv) {
  for (int i = 1; i < argc; ++i) {
    std::string_view const a = argv[i];
    if (a.rfind("--recipe=", 0) == 0) return std::string(a.substr(9));
    if (a == "--recipe" && i + 1 < argc) return argv[i + 1];
  }
  return "";
}

/// Takes the trajectory and operational fields of a recipe from a JSON file. Throws tenon::error naming the file.
template <class Recipe>
void read_recipe(std::string const& file, Recipe& r) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw error("cannot read '" + file + "', the JSON of a recipe; check the path behind --recipe");
  auto const json = nlohmann::ordered_json::parse(in, nullptr, false);
  if (json.is_discarded()) throw error("'" + file + "' is not JSON");
  try {
    from_json(json, r);
  } catch (error const& e) {
    throw error("'" + file + "': " + e.what());
  }
}

}  // namespace tenon::app
