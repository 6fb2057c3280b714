#pragma once
#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <type_traits>

#include "tenon/deploy/model_config.hpp"

/// The recipe of a model that exists: what `./tenon import` writes.
namespace tenon::deploy {

/// A whole number with its digits in threes, as C++ reads it: 32'256.
inline std::string separated(std::int64_t value) {
  auto text = std::to_string(value);
  for (auto i = std::int64_t(text.size()) - 3; i > (value < 0 ? 1 : 0); i -= 3) text.insert(std::size_t(i), "'");
  return text;
}

/// A policy as C++: tn::model::deepseek_llm{.vocab = 320, ...}, without the fields that have their default.
template <class Model>
std::string policy_text(Model const& m) {
  std::string all;
  Model const usual{};
  std::vector<std::string> defaults;
  for_each_field(usual, [&](std::string_view, auto const& member) {
    typename field_traits<std::remove_cvref_t<decltype(member)>>::value_type const value = member;
    defaults.push_back(to_text(value));
  });
  std::size_t i = 0;
  for_each_field(m, [&](std::string_view name, auto const& member) {
    using value_type = typename field_traits<std::remove_cvref_t<decltype(member)>>::value_type;
    static_assert(std::is_arithmetic_v<value_type>, "[tenon.import] a model's field is a number or true or false");
    value_type const value = member;
    if (to_text(value) == defaults[i++]) return;
    std::string text = to_text(value);
    if constexpr (std::is_same_v<value_type, bool>)
      text = value ? "true" : "false";
    else if constexpr (std::is_integral_v<value_type>)
      text = separated(value);
    else if (text.find_first_of(".e") == std::string::npos)
      text += ".0";
    all += (all.empty() ? "." : ", .") + std::string(name) + " = " + text;
  });
  return "tn::model::" + std::string(Model::kind) + "{" + all + "}";
}

/// Whether a text can name a C++ variable (keywords are left to the compiler).
inline bool is_identifier(std::string_view s) {
  auto const letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !s.empty() && letter(s[0]) &&
         std::all_of(s.begin(), s.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

/// A header with the recipe `name` of a model found in `origin`: its fixed fields as they are there; horizon, batch,
/// rates as a careful start for going on with its training, to be edited.
template <class Model>
std::string recipe_header(Model const& m, std::string const& name, std::string const& origin) {
  if (!is_identifier(name))
    throw error("'" + name +
                "' is not a C++ name, and the recipe is named after its file; write --out NAME.hpp with "
                "letters, digits and underscores");
  auto const sequence = std::min(512, m.positions.get());
  std::string safe;  // inside a comment: one line
  for (char const c : origin) safe += c == '\n' || c == '\r' || c == '\\' ? ' ' : c;
  return "#pragma once\n"
         "#include <tenon/recipe.hpp>\n\n"
         "namespace tn = tenon;\n"
         "using namespace tenon::literals;\n\n"
         "/// The model of " +
         safe +
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

}  // namespace tenon::deploy
