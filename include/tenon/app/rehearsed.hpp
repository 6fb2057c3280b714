#pragma once
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "tenon/app/command_line.hpp"
#include "tenon/app/run_directory.hpp"
#include "tenon/checkpoint/directory.hpp"
#include "tenon/exec/plan.hpp"
#include "tenon/recipe/digests.hpp"
#include "tenon/recipe/rehearsal.hpp"
#include "tenon/recipe/violations.hpp"

/// A long run begins only when its rehearsal (recipe/rehearsal.hpp) has passed. The rehearsal's own run directory is
/// the record of that: its newest checkpoint says by the identity digest what was run, and by its step whether to the
/// end.
namespace tenon::app {

inline constexpr double long_run_seconds = 3600;  ///< by the plan, at the least; a shorter run needs no rehearsal

/// Losses of the first and the last step in a run's log.jsonl; both NaN where there are none.
inline std::pair<double, double> first_and_last_loss(std::filesystem::path const& run) {
  std::pair<double, double> losses{std::nan(""), std::nan("")};
  std::ifstream in(run / "log.jsonl", std::ios::binary);
  for (std::string line; std::getline(in, line);) {
    auto const json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("event") || !json.contains("tenon") ||
        json["event"].value("action", "") != "step")
      continue;
    auto const loss = json["tenon"].value("loss", nlohmann::json());
    double const value = loss.is_number() ? loss.get<double>() : std::nan("");
    if (json["tenon"].value("step", 0) == 1) losses.first = value;
    losses.second = value;
  }
  return losses;
}

/// Why the run in `run` is no rehearsal that passed; empty where it is one. `identity`: of the rehearsal that is
/// wanted; `length`: its steps.
inline std::string why_not_rehearsed(std::filesystem::path const& run, std::string const& identity, steps length) {
  auto const at = "'" + run.string() + "' ";
  if (!std::filesystem::exists(run / "checkpoints")) return at + "holds no run";
  auto const found = checkpoint::newest_valid(run);
  if (!found.newest) return at + "holds no checkpoint that is whole";
  auto const& m = found.newest->contents;
  if (m.digests.identity != identity)
    return at + "holds another run, or a rehearsal of a recipe that has changed since";
  if (length.count > 0 && m.step < length.count)
    return at + "stopped at step " + std::to_string(m.step) + " of " + std::to_string(length.count);
  auto const [first, last] = first_and_last_loss(run);
  if (!(last < first)) return at + "went through, but its loss did not fall";
  return "";
}

/// Throws tenon::refused where a run that takes more than an hour by its plan begins without a rehearsal that passed.
/// `run`: the directory of the run itself, which may go on from a checkpoint. Recipes without rehearsal() need none.
template <auto const& R, class Recipe>
void require_rehearsal(Recipe const& r, command_line const& c, std::filesystem::path const& run) {
  if constexpr (requires { rehearse(r); }) {
    if (c.no_rehearsal || !checkpoint::list_checkpoints(run).empty()) return;
    auto const plan = make_plan<R>(numbers_of(r));
    double const seconds = plan.seconds_per_step * double(plan.steps);
    if (!(seconds > long_run_seconds)) return;
    auto const small = rehearse(R);
    auto const name = std::string(name_of_recipe<R>());
    std::filesystem::path const where = c.rehearsed.empty() ? std::filesystem::path("runs") / (name + "_rehearsal")
                                                            : std::filesystem::path(c.rehearsed);
    auto const why = why_not_rehearsed(where, digests(small).identity, total_steps(small.horizon, small.batch));
    if (why.empty()) return;
    throw refused("by its plan this run takes " + std::to_string(std::llround(seconds / 3600)) +
                  " hours or more, and its rehearsal has not passed: " + why +
                  ". './tenon train RECIPE.hpp --rehearse --run " + where.string() +
                  " --data ...' makes it in about a minute; --rehearsed DIR names another place, "
                  "--no-rehearsal begins without");
  }
}

}  // namespace tenon::app
