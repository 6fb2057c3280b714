#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "tenon/deploy/config_reader.hpp"

/// What lies beside the weights of an imported model and belongs to it: tokenizer, special ids, chat template. A run
/// that was begun with --init keeps these files as they are and gives them back on export.
namespace tenon::deploy {

/// Files that a run takes over unread. tokenizer.json is not among them: a run writes the tokenizer that it used.
inline constexpr std::array<std::string_view, 4> side_files{"generation_config.json", "tokenizer_config.json",
                                                            "special_tokens_map.json", "chat_template.jinja"};

/// The file by which a run says that its model was imported: where from, and the end of text of its tokenizer.
inline constexpr std::string_view origin_file = "imported.json";

/// The special ids of a model directory, from generation_config.json, else config.json: those of bos_token_id,
/// eos_token_id and pad_token_id that are there. Where there are several ends, the whole list is kept.
inline nlohmann::json special_ids(std::filesystem::path const& directory) {
  nlohmann::json ids = nlohmann::json::object();
  for (char const* file : {"generation_config.json", "config.json"}) {
    if (!std::filesystem::exists(directory / file)) continue;
    auto const json = read_json_object(directory / file);
    for (char const* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
      if (ids.contains(key) || !json.contains(key) || json[key].is_null()) continue;
      auto const is_id = [](nlohmann::json const& v) { return v.is_number_unsigned(); };
      bool const list = json[key].is_array() && std::all_of(json[key].begin(), json[key].end(), is_id);
      if (!is_id(json[key]) && !list)
        throw error("'" + (directory / file).string() + "': " + key + " is " + json[key].dump() +
                    ", not the id of a token");
      if (!json[key].empty()) ids[key] = json[key];
    }
  }
  return ids;
}

/// The added token that ends a text in the tokenizer of a model directory: the (first) eos_token_id, where
/// tokenizer.json has an added token of this id; else empty, and the tokenizer's own names decide.
inline std::string end_of_text(std::filesystem::path const& directory) {
  auto const ids = special_ids(directory);
  if (!ids.contains("eos_token_id")) return "";
  auto const eos = ids["eos_token_id"].is_array() ? ids["eos_token_id"][0] : ids["eos_token_id"];
  std::ifstream in(directory / "tokenizer.json", std::ios::binary);
  std::string const text{std::istreambuf_iterator<char>(in), {}};
  auto const json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("added_tokens") || !json["added_tokens"].is_array()) return "";
  for (auto const& token : json["added_tokens"])
    if (token.is_object() && token.value("id", nlohmann::json()) == eos && token.contains("content") &&
        token["content"].is_string())
      return token["content"].get<std::string>();
  return "";
}

/// Copies the side files that are in `from` into `to`. Throws tenon::error where one cannot be written.
inline void copy_side_files(std::filesystem::path const& from, std::filesystem::path const& to) {
  for (auto const name : side_files) {
    if (!std::filesystem::exists(from / name)) continue;
    std::error_code code;
    std::filesystem::copy_file(from / name, to / name, std::filesystem::copy_options::overwrite_existing, code);
    if (code)
      throw error("could not copy '" + (from / name).string() + "' to '" + to.string() + "': " + code.message());
  }
}

/// Where a run's imported model came from.
struct imported_origin {
  std::string directory, end_of_text;
};
/// Reads RUN/imported.json; nothing where the run began with random weights or without a tokenizer of its own.
inline std::optional<imported_origin> read_origin(std::filesystem::path const& run) {
  auto const file = run / origin_file;
  if (!std::filesystem::exists(file)) return std::nullopt;
  auto const json = read_json_object(file);
  try {
    return imported_origin{json.at("directory").get<std::string>(), json.at("end_of_text").get<std::string>()};
  } catch (nlohmann::json::exception const& e) {
    throw error("'" + file.string() + "' is damaged (" + e.what() + "); start the run anew with --init");
  }
}
inline std::string origin_text(imported_origin const& o) {
  return nlohmann::ordered_json{{"directory", o.directory}, {"end_of_text", o.end_of_text}}.dump(1) + "\n";
}

}  // namespace tenon::deploy
