#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/recipe/fields.hpp"

namespace tenon {

/// Where the value of a field comes from.
enum class origin { set_here, inherited, by_default };

/// One line of a description.
struct described_field : field_entry {
  origin from;
};

/// Every choice and field with its class and where its value comes from: inherited where it equals the value in the
/// named recipe that this one was derived from and is not the default; default where it equals the policy's own
/// default.
template <class Recipe>
std::vector<described_field> describe_fields(Recipe const& r) {
  std::vector<described_field> lines;
  for (auto const& f : list_fields(r)) lines.push_back({f, origin::set_here});
  auto const texts = [](std::string const& path, auto const& policy) {
    std::vector<std::string> values;
    auto add = [&](std::string const&, auto const& member) {
      using traits = field_traits<std::remove_cvref_t<decltype(member)>>;
      typename traits::value_type const value = member;
      values.push_back(to_text(value));
    };
    fields::walk(path, policy, add);
    return values;
  };
  std::vector<std::vector<std::string>> before;
  for_each_axis(r.parent, [&](auto tag, auto const& policy) {
    before.push_back(texts(std::string(decltype(tag)::name), policy));
  });
  std::size_t line = 0, axis_index = 0;
  for_each_axis(r, [&](auto tag, auto const& policy) {
    using policy_type = std::remove_cvref_t<decltype(policy)>;
    bool const inherited = (r.inherited >> axis_index & 1u) != 0;
    std::string const path(decltype(tag)::name);
    auto const defaults = texts(path, policy_type{});
    auto const& parent = before[axis_index++];
    if constexpr (!is_leaf<policy_type>) {
      bool const usual = std::is_same_v<policy_type, default_policy_t<decltype(tag)>>;
      lines[line++].from = usual ? origin::by_default : inherited ? origin::inherited : origin::set_here;
    }
    for (std::size_t i = 0; i < defaults.size(); ++i, ++line) {
      if (lines[line].value == defaults[i] && !(inherited && parent[i] != defaults[i]))
        lines[line].from = origin::by_default;
      else if (inherited && lines[line].value == parent[i])
        lines[line].from = origin::inherited;
    }
  });
  return lines;
}

/// "set here", "inherited" or "default".
constexpr std::string_view name_of(origin o) {
  return o == origin::set_here ? "set here" : o == origin::inherited ? "inherited" : "default";
}

/// A table of a recipe: path, value, class (fixed, trajectory, operational) and origin (set here, inherited, default).
template <class Recipe>
std::string describe(Recipe const& r) {
  auto const lines = describe_fields(r);
  std::size_t path_width = 0, value_width = 0;
  for (auto const& l : lines) {
    path_width = std::max(path_width, l.path.size());
    value_width = std::max(value_width, l.value.size());
  }
  std::string all;
  for (auto const& l : lines) {
    std::string const kind = l.choice ? "policy" : to_text(l.classification);
    all += l.path + std::string(path_width - l.path.size() + 2, ' ') + l.value +
           std::string(value_width - l.value.size() + 2, ' ') + kind + std::string(13 - kind.size(), ' ') +
           std::string(name_of(l.from)) + "\n";
  }
  return all;
}

/// The same as a Markdown table, with the digest of each line beside its class.
template <class Recipe>
std::string describe_markdown(Recipe const& r) {
  std::string all = "| field | value | class | digest | from |\n| --- | --- | --- | --- | --- |\n";
  for (auto const& l : describe_fields(r)) {
    std::string value;
    for (char const c : l.value) value += (c == '|' ? "\\" : "") + std::string(1, c);
    all += "| `" + l.path + "` | " + (value.empty() ? "" : "`" + value + "`") + " | " +
           (l.choice ? "policy" : to_text(l.classification)) + " | " + to_text(l.belongs_to) + " | " +
           std::string(name_of(l.from)) + " |\n";
  }
  return all;
}

}  // namespace tenon
