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

/// Every rule that this value of a recipe breaks, in the order of the rules. `k` holds what only the launch knows.
template <class Recipe>
std::vector<violation> violations(Recipe const& r, rules::known k = {}) {
  std::vector<violation> found;
  auto const ask = [&]<class Rule>() {
    if constexpr (Rule::template applies<Recipe>) {
      if (Rule::holds(r, k)) return;
      std::string values;
      for (auto const& f : Rule::seen(r)) {
        values += (values.empty() ? "" : ", ") + std::string(f.path) + " = ";
        values += !f.text.empty() ? std::string(f.text)
                  : f.whole()     ? to_text(static_cast<std::int64_t>(f.number))
                                  : to_text(f.number);
      }
      found.push_back({rules::id_of<Rule>, std::string(Rule::sentence) + " (" + values + ")"});
    }
  };
  [&]<class... Rules>(rules::list<Rules...>) { (ask.template operator()<Rules>(), ...); }(rules::rules_for<Recipe>{});
  return found;
}

/// Throws tenon::error with the first sentence where a recipe breaks a rule.
template <class Recipe>
void require_legal(Recipe const& r, rules::known k = {}) {
  auto const found = violations(r, k);
  if (!found.empty()) throw error(found.front().text);
}

}  // namespace tenon
