#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "tenon/app/migration.hpp"
#include "tenon/app/run_directory.hpp"
#include "tenon/observe/format.hpp"
#include "tenon/train/checkpointing.hpp"
#include "tenon/train/trainer.hpp"

namespace tenon {
namespace app {

/// Where a trainer keeps each tensor and number of its state.
struct target_list {
  std::vector<checkpoint::tensor_target> all;
  template <class T>
  void tensor(train::file, std::string const& name, std::vector<std::int64_t> const& shape, T* data) {
    all.push_back({name, train::stored_type<T>, shape, data});
  }
  void number(std::string const& name, std::int64_t& value) { all.push_back({name, checkpoint::dtype::I64, {}, &value}); }
  void number(std::string const& name, double& value) { all.push_back({name, checkpoint::dtype::F64, {}, &value}); }
};

}  // namespace app

/// Reads the newest whole checkpoint of the run in `from`, which must be of recipe `Old`, and writes one of recipe `New`
/// into the directory `to`, which must have none: run<New> with --run `to` goes on from there. The fields that differ
/// are recorded as changes at that step. Returns the new checkpoint's directory. Throws tenon::error naming what does not
/// fit; `from` is never written.
template <auto const& Old, auto const& New>
requires(legal<Old>&& legal<New>) std::filesystem::path migrate(std::filesystem::path const& from,
                                                                std::filesystem::path const& to, int threads = 1) {
  static_assert(migration_is_given<Old, New>);
  checkpoint::run_lock const lock(to);
  auto const found = checkpoint::newest_valid(from);
  if (!found.newest)
    throw error(found.damaged.empty() ? "'" + from.string() + "' holds no checkpoint; give the directory of a run"
                                      : found.damaged.front());
  if (!checkpoint::list_checkpoints(to).empty())
    throw error("'" + to.string() + "' has checkpoints already; name a new directory for the run that goes on");
  auto m = found.newest->contents;
  auto const saved = app::fields_in(m);
  for (auto const& d : differences(saved, list_fields(Old)))
    if (d.belongs_to == digest::identity)
      throw error("the checkpoint '" + found.newest->directory.string() + "' is not of the recipe that the migration begins "
                  "with: " + d.path + " is " + d.before + " in it and " + d.after + " in that recipe");

  train::trainer<New> t(New, threads, total_steps(New.horizon, New.batch));
  app::target_list targets;
  train::visit_state(t, targets);
  std::map<std::string, checkpoint::stored_tensor> old;
  std::vector<checkpoint::safetensors_file> files;
  for (auto const& [name, unused] : m.files)
    if (name.ends_with(".safetensors")) files.emplace_back(found.newest->directory / name);
  for (auto const& f : files) old.insert(f.tensors().begin(), f.tensors().end());
  checkpoint::state_move rules;
  migration<Old, New>::rules(rules);
  rules.apply(old, targets.all);

  for (auto const& d : differences(saved, list_fields(New)))
    if (d.belongs_to == digest::identity || d.belongs_to == digest::numbers)
      m.changes.push_back({found.newest->contents.step, d.path, d.before, d.after});
  auto const& p = t.progress();
  m.parent_step = found.newest->contents.step;
  m.step = p.step, m.tokens_consumed = p.tokens, m.cursor = {p.cursor.stage, p.cursor.epoch, p.cursor.sample};
  m.saved_at = observe::timestamp();
  app::describe_in_manifest(m, t);
  checkpoint::transaction<> writing(to, p.step);
  train::save_state(writing, t);
  auto const done = writing.commit(m);
  app::write_text(to / "recipe.json", to_json(New).dump(2) + "\n");
  if (auto const tokenizer = from / "tokenizer.json"; std::filesystem::exists(tokenizer))
    std::filesystem::copy_file(tokenizer, to / "tokenizer.json", std::filesystem::copy_options::overwrite_existing);
  return done.directory;
}

}  // namespace tenon
