#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/core/text.hpp"
#include "tenon/recipe/check.hpp"

namespace tenon {

/// A rule that a recipe breaks, with the same sentence that the compiler says and the values in full.
struct violation {
  std::string_view rule;
  std::string text;
};

namespace rules {

/// The violation of one rule: its sentence and what it has seen.
template <class Rule, class Findings>
violation said_of(Findings const& seen) {
  std::string values;
  for (auto const& f : seen) {
    values += (values.empty() ? "" : ", ") + std::string(f.path) + " = ";
    values += !f.text.empty() ? std::string(f.text)
              : f.whole()     ? to_text(static_cast<std::int64_t>(f.number))
                              : to_text(f.number);
  }
  return {id_of<Rule>, std::string(Rule::sentence) + " (" + values + ")"};
}

}  // namespace rules

/// Every rule that this value of a recipe breaks, in the order of the rules. `k` holds what only the launch knows.
template <class Recipe>
std::vector<violation> violations(Recipe const& r, rules::known k = {}) {
  std::vector<violation> found;
  auto const ask = [&]<class Rule>() {
    if constexpr (Rule::template applies<Recipe>) {
      if (!Rule::holds(r, k)) found.push_back(rules::said_of<Rule>(Rule::seen(r)));
    }
  };
  [&]<class... Rules>(rules::list<Rules...>) { (ask.template operator()<Rules>(), ...); }(rules::rules_for<Recipe>{});
  return found;
}

/// What a launch is refused for: target, plan and machine, in the order of rules::launch_rules.
template <class Recipe>
std::vector<violation> launch_violations(Recipe const& r, rules::known k) {
  std::vector<violation> found;
  auto const ask = [&]<class Rule>() {
    if (!Rule::holds(r, k)) found.push_back(rules::said_of<Rule>(Rule::seen(r, k)));
  };
  [&]<class... Rules>(rules::list<Rules...>) { (ask.template operator()<Rules>(), ...); }(rules::launch_rules{});
  return found;
}

/// A recipe, or a command line with it, that cannot be run: nothing was started or written.
struct refused : error {
  using error::error;
};

/// Throws tenon::refused with the first sentence where a recipe breaks a rule.
template <class Recipe>
void require_legal(Recipe const& r, rules::known k = {}) {
  auto const found = violations(r, k);
  if (!found.empty()) throw refused(found.front().text);
}
/// The same for one rule of a launch.
template <class Rule, class Recipe>
void require_rule(Recipe const& r, rules::known k) {
  if (!Rule::holds(r, k)) throw refused(rules::said_of<Rule>(Rule::seen(r, k)).text);
}
/// The same for a launch.
template <class Recipe>
void require_launch(Recipe const& r, rules::known k) {
  auto const found = launch_violations(r, k);
  if (!found.empty()) throw refused(found.front().text);
}

}  // namespace tenon
