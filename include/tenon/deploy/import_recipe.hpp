#pragma once
#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tenon/deploy/model_config.hpp"

/// The recipe of a model that exists: what `./tenon import` writes, and what `./tenon fit DIR` asks about.
namespace tenon::deploy {

/// A whole number with its digits in threes, as C++ reads it: 32'256.
inline std::string separated(std::int64_t value) {
  auto text = std::to_string(value);
  for (auto i = std::int64_t(text.size()) - 3; i > (value < 0 ? 1 : 0); i -= 3) text.insert(std::size_t(i), "'");
  return text;
}

/// An enumerator with its namespaces, as a recipe writes it: tn::model::some::value.
template <class Enum>
std::string enumerator_text(Enum value) {
  std::string_view const first = reflect::rendering<static_cast<Enum>(0)>();  // tenon::model::some::first
  return "tn" + std::string(first.substr(5, first.rfind("::") + 2 - 5)) + to_text(value);
}

/// The fields of an aggregate as designated initialisers, without those that have their default: ".vocab = 320, ...".
template <class Aggregate>
std::string initialisers(Aggregate const& m) {
  std::string all;
  Aggregate const usual{};
  std::vector<std::string> defaults, texts;
  auto const each = [](Aggregate const& a, auto f) {
    for_each_field(a, [&]<class Member>(std::string_view name, Member const& member) {
      if constexpr (is_leaf<Member>) {
        typename field_traits<Member>::value_type const value = member;
        f(name, value);
      } else {
        f(name, member);
      }
    });
  };
  auto const written = []<class Value>(Value const& value) {
    if constexpr (std::is_same_v<Value, bool>) {
      return std::string(value ? "true" : "false");
    } else if constexpr (std::is_integral_v<Value>) {
      return separated(value);
    } else if constexpr (std::is_floating_point_v<Value>) {
      auto const text = to_text(value);
      return text.find_first_of(".e") == text.npos ? text + ".0" : text;
    } else if constexpr (std::is_enum_v<Value>) {
      return enumerator_text(value);
    } else {
      return "{" + initialisers(value) + "}";
    }
  };
  each(usual, [&](std::string_view, auto const& value) { defaults.push_back(written(value)); });
  each(m, [&](std::string_view name, auto const& value) {
    auto const text = written(value);
    // A nested aggregate writes its own differences, so one that is as usual is empty.
    if (text == defaults[texts.size()]) return void(texts.emplace_back());
    texts.push_back(text);
    all += (all.empty() ? "." : ", .") + std::string(name) + " = " + text;
  });
  return all;
}

/// A policy as C++: tn::model::deepseek_llm{.vocab = 320, ...}.
template <class Model>
std::string policy_text(Model const& m) {
  return "tn::model::" + std::string(Model::kind) + "{" + initialisers(m) + "}";
}

/// Whether a text can name a C++ variable (keywords are left to the compiler).
inline bool is_identifier(std::string_view s) {
  auto const letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !s.empty() && letter(s[0]) &&
         std::all_of(s.begin(), s.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

/// A text that ends no comment of one line.
inline std::string in_comment(std::string const& text) {
  std::string safe;
  for (char const c : text) safe += c == '\n' || c == '\r' || c == '\\' ? ' ' : c;
  return safe;
}

/// Throws where a recipe could not have this name.
inline void require_identifier(std::string const& name) {
  if (!is_identifier(name))
    throw error("'" + name +
                "' is not a C++ name, and the recipe is named after its file; write --out NAME.hpp with "
                "letters, digits and underscores");
}

/// A header with the recipe `name` of a model found in `origin`: its fixed fields as they are there; horizon, batch,
/// rates as a careful start for going on with its training, to be edited.
template <class Model>
std::string recipe_header(Model const& m, std::string const& name, std::string const& origin) {
  require_identifier(name);
  auto const sequence = std::min(512, m.positions.get());
  return "#pragma once\n"
         "#include <tenon/recipe.hpp>\n\n"
         "namespace tn = tenon;\n"
         "using namespace tenon::literals;\n\n"
         "/// The model of " +
         in_comment(origin) +
         ".\n"
         "/// The numbers below it are a careful start for going on with its training; edit them.\n"
         "inline constexpr auto " +
         name +
         " = tn::recipe(\n"
         "    " +
         policy_text(m) +
         ",\n"
         "    tn::horizon{1'000_steps},\n"
         "    tn::batch{.sequence = " +
         separated(sequence) +
         "_tokens, .global = 8_samples, .micro = 4_samples},\n"
         "    tn::optimizer::adamw{.weight_decay = 0.1, .clip = 1.0},\n"
         "    tn::schedule::warmup_cosine{.peak = 2e-5, .warmup = 3_percent, .floor = 0.1},\n"
         "    tn::checkpoint::every{.period = tn::steps{200}, .keep = 3});\n";
}

/// A header with the recipe `name` that plans the training of such a model from its first weights: samples as long as its
/// positions but at most 4,096 tokens, 256 of them a step, 20 tokens a parameter (Hoffmann et al. 2022, section 3; their
/// models are dense, so with experts it is a round number), one H200.
template <class Model>
std::string planned_header(Model const& m, std::string const& name, std::string const& origin) {
  require_identifier(name);
  auto const billions = std::int64_t(20 * double(m.parameters()) / 1e9 + 1);
  return "#pragma once\n// The model of " + in_comment(origin) +
         ".\n#include <tenon/tenon.hpp>\n\nnamespace tn = tenon;\n\ninline constexpr auto " + name +
         " = tn::recipe(\n    " + policy_text(m) + ",\n    tn::target::h200{},\n    tn::horizon{tn::tokens{" +
         separated(billions * 1'000'000'000) + "}},\n    tn::batch{.sequence = tn::tokens{" +
         separated(std::min(4096, m.positions.get())) + "}, .global = tn::samples{256}, .micro = tn::samples{1}});\n";
}

/// The header for the model in DIR/config.json. Throws tenon::error where it cannot be read or is of a model that tenon
/// does not have.
inline std::string planned_header_of(std::filesystem::path const& directory, std::string const& name) {
  auto const file = directory / "config.json";
  if (!std::filesystem::exists(file))
    throw error("there is no '" + file.string() + "'; give a recipe's header, or the directory of a Hugging Face model");
  std::string header;
  with_config(read_json_object(file), file.string(),
              [&](auto const& found) { header = planned_header(found.model, name, file.string()); });
  return header;
}

}  // namespace tenon::deploy
