#pragma once
#include <set>
#include <tuple>

#include "legality/matrix.hpp"

/// Which combinations are compiled into trainers: a set that has every legal pair of choices of the axes that select
/// code, or all of them.
namespace legality {

using combination = std::array<std::size_t, num_axes>;

/// The axes that select code of a trainer. The others select code of the program around it (data, curriculum,
/// checkpoint, observe: tests/app/), or none.
inline std::vector<std::size_t> code_axes() {
  namespace a = tn::axis;
  return {place_of<a::model>(),    place_of<a::precision>(), place_of<a::objective>(), place_of<a::optimizer>(),
          place_of<a::schedule>(), place_of<a::trainable>(), place_of<a::memory>(),    place_of<a::parallel>()};
}

/// Every legal combination of the axes that select code, on target::cpu and the first choice of each other axis.
inline std::vector<combination> all_trainers(matrix const& m) {
  std::vector<combination> rows;
  auto const axes = code_axes();
  combination at{};
  auto const& targets = m.axes[place_of<tn::axis::target>()].choices;
  at[place_of<tn::axis::target>()] =
      static_cast<std::size_t>(std::find(targets.begin(), targets.end(), "target::cpu") - targets.begin());
  for (;;) {
    if (m.judge(at, [](std::size_t) {}) < 0) rows.push_back(at);
    std::size_t a = axes.size();
    while (a-- > 0) {
      if (++at[axes[a]] < m.axes[axes[a]].choices.size()) break;
      at[axes[a]] = 0;
      if (a == 0) return rows;
    }
  }
}

/// A pair of choices of two axes.
using pair = std::tuple<std::size_t, std::size_t, std::size_t, std::size_t>;
inline std::set<pair> pairs_of(combination const& row) {
  std::set<pair> all;
  auto const axes = code_axes();
  for (auto a : axes)
    for (auto b : axes)
      if (a < b) all.insert({a, row[a], b, row[b]});
  return all;
}

/// Few of `rows` that together have every pair that any of them has. Greedy, and the same each time: the row with most
/// pairs that are still missing, the first among equals.
inline std::vector<combination> covering(std::vector<combination> const& rows) {
  std::set<pair> missing;
  for (auto const& row : rows) missing.merge(pairs_of(row));
  std::vector<combination> chosen;
  while (!missing.empty()) {
    std::size_t best = 0;
    combination const* with = nullptr;
    for (auto const& row : rows) {
      std::size_t gain = 0;
      for (auto const& p : pairs_of(row)) gain += missing.count(p);
      if (gain > best) best = gain, with = &row;
    }
    chosen.push_back(*with);
    for (auto const& p : pairs_of(*with)) missing.erase(p);
  }
  return chosen;
}

/// One line for each row, for tests/legality/trainers.cpp to include.
inline std::string trainers_text(std::vector<combination> const& rows) {
  std::string text =
      "// Rows of trainers: the choice of each axis, in the order of a recipe's members (tests/support/policies.hpp). "
      "Printed by the tests:\n// ./tenon test legality --update.\n#define TENON_ROWS " +
      std::to_string(rows.size()) + "\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    text += "TENON_ROW(" + std::to_string(i);
    for (auto c : rows[i]) text += ", " + std::to_string(c);
    text += ")\n";
  }
  return text;
}

}  // namespace legality
