#pragma once
#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "tenon/recipe/describe.hpp"
#include "tenon/recipe/fields.hpp"

namespace tenon {

namespace fields {

/// Numbers and booleans stay what they are; units, enumerations and texts are written as text.
template <class T>
nlohmann::ordered_json value_to_json(T const& value) {
  if constexpr (std::is_arithmetic_v<T>)
    return value;
  else
    return to_text(value);
}

template <class T>
nlohmann::ordered_json node_to_json(T const& value) {
  if constexpr (is_leaf<T>) {
    typename field_traits<T>::value_type const plain = value;
    return value_to_json(plain);
  } else if constexpr (is_array<T>::value) {
    auto node = nlohmann::ordered_json::array();
    for (auto const& one : value) node.push_back(node_to_json(one));
    return node;
  } else {
    auto node = nlohmann::ordered_json::object();
    for_each_field(value,
                   [&](std::string_view name, auto const& member) { node[std::string(name)] = node_to_json(member); });
    return node;
  }
}

inline std::string scalar_text(nlohmann::ordered_json const& node, std::string const& path) {
  if (node.is_string()) return node.get<std::string>();
  if (node.is_boolean()) return node.get<bool>() ? "true" : "false";
  if (node.is_number_float()) return to_text(node.get<double>());
  if (node.is_number()) return node.dump();
  throw error("the JSON of the recipe has no single value at " + path + "; write a number, a text or true or false");
}

template <class T>
void node_from_json(nlohmann::ordered_json const& node, std::string const& path, T& value) {
  if constexpr (is_leaf<T>) {
    using traits = field_traits<T>;
    typename traits::value_type read = value;
    try {
      parse_text(scalar_text(node, path), read);
    } catch (error const& e) {
      throw error("the JSON of the recipe: " + path + ": " + e.what());
    }
    if constexpr (traits::classification == field_class::fixed) {
      typename traits::value_type const compiled = value;
      if (to_text(read) != to_text(compiled))
        throw error("the JSON of the recipe says " + path + " = " + to_text(read) + ", but it is compiled in as " +
                    to_text(compiled) + "; build that recipe, or remove the key");
    } else {
      value = read;
    }
  } else if constexpr (is_array<T>::value) {
    if (!node.is_array() || node.size() != value.size())
      throw error("the JSON of the recipe: " + path + " must be an array of " + std::to_string(value.size()));
    for (std::size_t i = 0; i < value.size(); ++i) node_from_json(node[i], path + "." + std::to_string(i), value[i]);
  } else {
    if (!node.is_object()) throw error("the JSON of the recipe: " + path + " must be an object");
    std::vector<std::string> known{"kind"};
    for_each_field(value, [&](std::string_view name, auto& member) {
      known.emplace_back(name);
      if (auto const it = node.find(known.back()); it != node.end())
        node_from_json(*it, path + "." + known.back(), member);
    });
    for (auto const& [key, unused] : node.items()) {
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      auto const near = nearest(key, known);
      throw error("the JSON of the recipe has an unknown key " + path + "." + key +
                  (near.empty() ? "; remove it" : "; did you mean " + near + "?"));
    }
  }
}

}  // namespace fields

/// {"model": {"kind": "deepseek_llm", "vocab": 32256, ...}, "horizon": "1000_steps", ...}: every axis, every field.
template <class... Policies>
nlohmann::ordered_json to_json(recipe_t<Policies...> const& r) {
  auto all = nlohmann::ordered_json::object();
  for_each_axis(r, [&](auto tag, auto const& policy) {
    using policy_type = std::remove_cvref_t<decltype(policy)>;
    auto node = fields::node_to_json(policy);
    if constexpr (!is_leaf<policy_type>) {
      auto with_kind = nlohmann::ordered_json::object();
      with_kind["kind"] = std::string(policy_type::kind);
      if (node.is_object()) with_kind.update(node);
      node = with_kind;
    }
    all[std::string(decltype(tag)::name)] = node;
  });
  return all;
}

/// Sets the trajectory and operational fields of a recipe from JSON. A key left out keeps its value. Throws
/// tenon::error for an unknown key, for another policy than the one compiled in, and for another value of a fixed
/// field.
template <class... Policies>
void from_json(nlohmann::ordered_json const& all, recipe_t<Policies...>& r) {
  if (!all.is_object()) throw error("the JSON of the recipe must be an object with one key per axis");
  std::vector<std::string> axes;
  auto changed = r;
  for_each_axis(changed, [&](auto tag, auto& policy) {
    using policy_type = std::remove_cvref_t<decltype(policy)>;
    std::string const path(decltype(tag)::name);
    axes.push_back(path);
    auto const it = all.find(path);
    if (it == all.end()) return;
    if constexpr (!is_leaf<policy_type>) {
      if (it->is_object() && it->contains("kind") && it->at("kind") != std::string(policy_type::kind))
        throw error("the JSON of the recipe chooses " + path + " " + it->at("kind").dump() + ", but " +
                    std::string(policy_type::kind) + " is compiled in; build that recipe instead");
    }
    fields::node_from_json(*it, path, policy);
  });
  for (auto const& [key, unused] : all.items()) {
    if (std::find(axes.begin(), axes.end(), key) != axes.end()) continue;
    auto const near = nearest(key, axes);
    throw error("the JSON of the recipe has an unknown axis " + key +
                (near.empty() ? "; remove it" : "; did you mean " + near + "?"));
  }
  r = changed;
}

/// A list of fields as a JSON array, for the manifest of a checkpoint: a later program, perhaps of another recipe, can
/// then name what differs without knowing the types of this one.
inline nlohmann::ordered_json fields_to_json(std::vector<field_entry> const& list) {
  auto all = nlohmann::ordered_json::array();
  for (auto const& f : list)
    all.push_back({{"path", f.path},
                   {"value", f.value},
                   {"class", to_text(f.classification)},
                   {"digest", to_text(f.belongs_to)},
                   {"choice", f.choice}});
  return all;
}

/// What describe(recipe) prints, as an array of objects: path, value, class, digest, choice and from.
template <class Recipe>
nlohmann::ordered_json describe_json(Recipe const& r) {
  auto all = nlohmann::ordered_json::array();
  for (auto const& l : describe_fields(r)) {
    all.push_back(fields_to_json({l}).front());
    all.back()["from"] = std::string(name_of(l.from));
  }
  return all;
}

/// Reads what fields_to_json wrote. Throws tenon::error where the array is not one of those.
inline std::vector<field_entry> fields_from_json(nlohmann::ordered_json const& all) {
  std::vector<field_entry> list;
  try {
    for (auto const& node : all) {
      field_entry f{node.at("path").get<std::string>(),
                    node.at("value").get<std::string>(),
                    {},
                    {},
                    node.at("choice").get<bool>()};
      parse_text(node.at("class").get<std::string>(), f.classification);
      parse_text(node.at("digest").get<std::string>(), f.belongs_to);
      list.push_back(f);
    }
  } catch (std::exception const& e) {
    throw error(std::string("the list of fields in the manifest cannot be read (") + e.what() +
                "); use the checkpoint before it");
  }
  return list;
}

}  // namespace tenon
