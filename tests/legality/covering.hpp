#pragma once
#include <map>
#include <set>
#include <tuple>

#include "legality/matrix.hpp"

/// Which combinations are compiled into trainers: a set that has every legal pair of choices of the axes that select
/// code, or all of them.
namespace legality {

using combination = std::array<std::size_t, num_axes>;

/// The axes that select code of a trainer. The others select code of the program around it (objective, data, curriculum,
/// checkpoint, observe: tests/app/), or none: next_token and sft differ in the rows that they are given.
inline std::vector<std::size_t> code_axes() {
  namespace a = tn::axis;
  return {place_of<a::model>(),    place_of<a::precision>(), place_of<a::optimizer>(),
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

/// Few of `rows` that together have every pair that any of them has: greedy, the row with most pairs that are still
/// missing, and among equals one by a fixed sequence of numbers; the shortest of 48 tries, the same each time.
inline std::vector<combination> covering(std::vector<combination> const& rows) {
  std::map<pair, std::size_t> numbers;
  std::vector<std::vector<std::size_t>> pairs(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (auto const& p : pairs_of(rows[i])) pairs[i].push_back(numbers.emplace(p, numbers.size()).first->second);
  std::vector<combination> shortest = rows;
  std::uint32_t sequence = 1;
  for (int attempt = 0; attempt < 48; ++attempt) {
    std::vector<char> missing(numbers.size(), 1);
    std::size_t left = numbers.size();
    std::vector<combination> chosen;
    while (left > 0 && chosen.size() < shortest.size()) {
      std::size_t best = 0, with = 0, equals = 0;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        std::size_t gain = 0;
        for (auto p : pairs[i]) gain += std::size_t(missing[p]);
        if (gain < best || gain == 0) continue;
        equals = gain > best ? 1 : equals + 1;
        best = gain;
        sequence = sequence * 1664525u + 1013904223u;  // Numerical Recipes' generator
        if (equals == 1 || (sequence >> 8) % equals == 0) with = i;
      }
      for (auto p : pairs[with]) left -= std::size_t(missing[p]), missing[p] = 0;
      chosen.push_back(rows[with]);
    }
    if (left == 0 && chosen.size() < shortest.size()) shortest = chosen;
  }
  return shortest;
}

/// A size below which no set of `rows` has all of their pairs. Choices that no row has together (of one axis, or refused
/// together by a rule) exclude each other; a row has one choice of `axis` and at most one of choices that all exclude each
/// other, so it has at most one of their pairs. The bound is the largest number of such pairs, over axes and choices.
inline std::size_t least_size(std::vector<combination> const& rows) {
  std::set<pair> wanted;
  for (auto const& row : rows) wanted.merge(pairs_of(row));
  using choice = std::pair<std::size_t, std::size_t>;  // axis, value
  auto const together = [&](choice a, choice b) {
    if (b < a) std::swap(a, b);
    return wanted.count({a.first, a.second, b.first, b.second}) > 0;
  };
  std::set<choice> choices;
  for (auto const& [a, i, b, j] : wanted) choices.insert({{a, i}, {b, j}});
  std::size_t least = 0;
  for (auto const axis : code_axes()) {
    std::vector<std::pair<choice, std::size_t>> others;  // with how many of the axis' choices each stands
    for (auto const& c : choices) {
      auto const pairs = std::count_if(choices.begin(), choices.end(), [&](auto const& own) { return own.first == axis && together(own, c); });
      if (c.first != axis) others.push_back({c, static_cast<std::size_t>(pairs)});
    }
    std::vector<choice> taken;
    auto const extend = [&](auto const& self, std::size_t from, std::size_t pairs) -> void {
      least = std::max(least, pairs);
      for (std::size_t i = from; i < others.size(); ++i) {
        if (std::any_of(taken.begin(), taken.end(), [&](auto const& t) { return together(t, others[i].first); })) continue;
        taken.push_back(others[i].first);
        self(self, i + 1, pairs + others[i].second);
        taken.pop_back();
      }
    };
    extend(extend, 0, 0);
  }
  return least;
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
