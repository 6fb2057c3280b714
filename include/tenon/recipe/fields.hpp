#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tenon/core/fixed.hpp"
#include "tenon/core/reflect.hpp"
#include "tenon/core/text.hpp"
#include "tenon/recipe/recipe.hpp"

namespace tenon {

inline std::string to_text(horizon h) {
  using unit = horizon::unit;
  char const* name = h.in == unit::steps     ? "_steps"
                     : h.in == unit::tokens  ? "_tokens"
                     : h.in == unit::samples ? "_samples"
                                             : "_epochs";
  return std::to_string(h.count) + name;
}
inline void parse_text(std::string_view written, horizon& out) {
  std::string_view const expected = "a length of the run, such as 1000_steps, 20000000_tokens or 2_epochs";
  auto const a = text::read_amount(written, expected);
  auto const n = text::whole(a, written, expected);
  if (a.unit.empty() || a.unit == "steps")
    out = horizon{steps{n}};
  else if (a.unit == "tokens")
    out = horizon{tokens{n}};
  else if (a.unit == "samples")
    out = horizon{samples{n}};
  else if (a.unit == "epochs")
    out = horizon{epochs{n}};
  else
    text::refuse(written, expected);
}

/// True for what a path can end at: everything but a plain aggregate of further fields. A unit is a leaf.
template <class T>
inline constexpr bool is_leaf = !std::is_aggregate_v<T>;
template <>
inline constexpr bool is_leaf<percent> = true;

namespace fields {

template <class T>
struct is_array : std::false_type {};
template <class T, std::size_t N>
struct is_array<std::array<T, N>> : std::true_type {};

template <class T, class F>
void walk(std::string const& path, T& value, F& f) {
  using plain = std::remove_const_t<T>;
  if constexpr (is_leaf<plain>) {
    f(path, value);
  } else if constexpr (is_array<plain>::value) {
    for (std::size_t i = 0; i < value.size(); ++i) walk(path + "." + std::to_string(i), value[i], f);
  } else {
    for_each_field(value,
                   [&](std::string_view name, auto& member) { walk(path + "." + std::string(name), member, f); });
  }
}

}  // namespace fields

/// Calls f(path, member) for each field of each policy, such as "schedule.peak", in the order of the recipe. The member
/// has its declared type: fixed<...>, operational<...> or plain.
template <class Recipe, class F>
void for_each_leaf(Recipe& r, F f) {
  for_each_axis(r, [&](auto tag, auto& policy) { fields::walk(std::string(decltype(tag)::name), policy, f); });
}

/// One line of a recipe: a field, or the choice of a policy (its path is the axis).
struct field_entry {
  std::string path;
  std::string value;  ///< canonical text
  field_class classification;
  digest belongs_to;
  bool choice;  ///< true for the policy itself
};

/// Every choice and every field of a recipe, in its order. precision::native appears as what it means on the target.
template <class Recipe>
std::vector<field_entry> list_fields(Recipe const& r) {
  std::vector<field_entry> list;
  for_each_axis(r, [&](auto tag, auto const& given) {
    using axis_type = decltype(tag);
    auto const policy = as_meant<Recipe>(given);
    using policy_type = std::remove_cvref_t<decltype(policy)>;
    std::string const path(axis_type::name);
    if constexpr (!is_leaf<policy_type>)
      list.push_back({path, std::string(policy_type::kind), field_class::fixed, axis_type::choice, true});
    auto add = [&](std::string const& p, auto const& member) {
      using traits = field_traits<std::remove_cvref_t<decltype(member)>>;
      typename traits::value_type const value = member;
      list.push_back({p, to_text(value), traits::classification, traits::belongs_to, false});
    };
    fields::walk(path, policy, add);
  });
  return list;
}

/// Sets one field from text. Throws tenon::error for a path that does not exist (with the nearest one), for a fixed
/// field and for text that does not fit the field.
template <class Recipe>
void set_field(Recipe& r, std::string_view path, std::string_view written) {
  bool found = false;
  for_each_leaf(r, [&](std::string const& p, auto& member) {
    using traits = field_traits<std::remove_cvref_t<decltype(member)>>;
    if (p != path) return;
    found = true;
    typename traits::value_type value = member;
    if constexpr (traits::classification == field_class::fixed) {
      throw error(p + " is compiled in (it is " + to_text(value) +
                  "): it selects code, so change it in the recipe and build again");
    } else {
      try {
        parse_text(written, value);
      } catch (error const& e) {
        throw error(p + " = " + e.what());
      }
      member = value;
    }
  });
  if (found) return;
  std::vector<std::string> all;
  for (auto const& f : list_fields(r)) {
    if (f.choice && f.path == path && f.value == f.path)
      throw error(f.path + " has several fields; set one of them, as --help lists them");
    if (f.choice && f.path == path)
      throw error(f.path + " is compiled in (it is " + f.value +
                  "): a policy selects code, so choose another one in the recipe and build again");
    if (!f.choice && f.path == path)
      throw error(f.path + " is compiled in (it is " + f.value + "): it selects code, so change it in the recipe and build again");
    if (!f.choice) all.push_back(f.path);
  }
  std::string const near = nearest(path, all);
  throw error("this recipe has no field " + std::string(path) + (near.empty() ? "" : "; did you mean " + near + "?") +
              (near.empty() ? "; --help lists its fields" : ""));
}

}  // namespace tenon
