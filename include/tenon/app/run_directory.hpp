#pragma once
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/app/command_line.hpp"
#include "tenon/app/recipe_file.hpp"
#include "tenon/checkpoint/directory.hpp"
#include "tenon/checkpoint/lock.hpp"
#include "tenon/checkpoint/retention.hpp"
#include "tenon/recipe/digests.hpp"
#include "tenon/recipe/json.hpp"

namespace tenon::app {

/// The recipe's choices and fields that a checkpoint was written with.
inline std::vector<field_entry> fields_in(checkpoint::manifest const& m) {
  return fields_from_json(nlohmann::ordered_json::parse(m.recipe.at("fields").dump()));
}

/// Whether a checkpoint may go on under this recipe (DESIGN, promise 8): identity must match; a number may differ only
/// where `--change` names it. Returns the changes, to be recorded. Throws tenon::error naming the field and both
/// values.
template <class Recipe>
std::vector<checkpoint::recorded_change> accepted_changes(checkpoint::manifest const& saved, Recipe const& r,
                                                          std::vector<assignment> const& allowed) {
  auto const before = fields_in(saved);
  auto const now = list_fields(r);
  std::vector<std::string> paths;
  for (auto const& a : allowed) paths.push_back(a.path);
  // The end of a curriculum's last stage says nothing about the order of what comes before it.
  std::string last_until;
  for (auto const& f : now)
    if (f.path.rfind("curriculum.list.", 0) == 0 && f.path.ends_with(".until")) last_until = f.path;
  for (auto const& d : differences(before, now)) {
    bool const of_order = d.path == "batch.sequence" || d.path == "seed.value" ||
                          d.path.rfind("data.weights", 0) == 0 || d.path.rfind("curriculum", 0) == 0;
    if (of_order && d.path != last_until)
      throw error("this run was started with " + d.path + " = " + d.before + ", and now it is " + d.after +
                  "; the order of the data follows from it, so the place where the run stands would mean other text. "
                  "Give the same value again, or use another --run directory");
  }
  require_same_run(before, now, paths);
  std::vector<checkpoint::recorded_change> changes;
  for (auto const& d : differences(before, now))
    if (d.belongs_to == digest::numbers) changes.push_back({saved.step, d.path, d.before, d.after});
  return changes;
}

/// The recipe as the manifest keeps it: its values as JSON, and the flat list that resume compares.
template <class Recipe>
nlohmann::json recipe_for_manifest(Recipe const& r) {
  nlohmann::json j;
  j["values"] = nlohmann::json::parse(to_json(r).dump());
  j["fields"] = nlohmann::json::parse(fields_to_json(list_fields(r)).dump());
  return j;
}

/// Path and value of every choice and field, for people who read the manifest.
template <class Recipe>
std::vector<std::pair<std::string, std::string>> fields_for_manifest(Recipe const& r) {
  std::vector<std::pair<std::string, std::string>> list;
  for (auto const& f : list_fields(r)) list.emplace_back(f.choice ? f.path + ".kind" : f.path, f.value);
  return list;
}

/// What a manifest says about the recipe and the types that a trainer was made from: digests, fields, seed, loss scale,
/// dtypes.
template <class Trainer>
void describe_in_manifest(checkpoint::manifest& m, Trainer& t) {
  auto const& r = t.recipe();
  auto const d = digests(r);
  m.digests = {d.identity, d.layout, d.numbers};
  m.recipe_fields = fields_for_manifest(r);
  m.recipe = recipe_for_manifest(r);
  m.random.seed = r.seed.value;
  m.scaler.reset();
  if constexpr (Trainer::scales_loss) m.scaler = checkpoint::scaler_state{t.scaler().scale, t.scaler().good_steps};
  auto const plan = dtypes_of(r);
  m.dtypes = {{"parameter", std::string(name_of(plan.parameter))}, {"compute", std::string(name_of(plan.compute))},
              {"gradient", std::string(name_of(plan.gradient))},   {"reduce", std::string(name_of(plan.reduce))},
              {"master", std::string(name_of(plan.master))},       {"moment", std::string(name_of(plan.moment))},
              {"logits", std::string(name_of(plan.logits))},       {"product", std::string(name_of(plan.product()))}};
}

/// Writes a small file whole: to a temporary name, then renamed.
inline void write_text(std::filesystem::path const& to, std::string const& text) {
  auto const temporary = to.string() + ".tmp";
  {
    std::ofstream out(temporary, std::ios::binary);
    out << text;
    if (!out.flush())
      throw error("could not write '" + to.string() + "'; is the disk full, or the directory not yours?");
  }
  std::filesystem::rename(temporary, to);
}

}  // namespace tenon::app
