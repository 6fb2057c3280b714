#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tenon/data/tokenizer_json.hpp"
#include "tenon/deploy/export_run.hpp"
#include "tenon/deploy/model_config.hpp"
#include "tenon/deploy/side_files.hpp"

namespace tenon::deploy {

/// The tokenizer of a run or of a model directory, with what its side files add to tokenizer.json: which token ends a
/// text, and a begin of text that tokenizer_config.json asks for (`add_bos_token`). Throws tenon::error where there is
/// no tokenizer.json, or one that is not understood.
inline data::tokenizer load_model_tokenizer(std::filesystem::path const& directory) {
  auto const file = directory / "tokenizer.json";
  if (!std::filesystem::exists(file))
    throw error("'" + directory.string() +
                "' has no tokenizer.json, so its ids mean no text; add the tokenizer's file");
  auto const origin = read_origin(directory);
  auto tokens = data::load_tokenizer(file, origin ? origin->end_of_text : end_of_text(directory));
  auto const settings = directory / "tokenizer_config.json";
  if (!tokens.definition().prefix.empty() || !std::filesystem::exists(settings)) return tokens;
  auto const json = read_json_object(settings);
  if (json.value("add_bos_token", nlohmann::json()) != true || !json.contains("bos_token")) return tokens;
  auto const& bos = json["bos_token"];
  auto const content = bos.is_object() ? bos.value("content", nlohmann::json()) : bos;
  for (auto const& a : tokens.definition().added)
    if (content == a.content) {
      auto definition = tokens.definition();
      definition.prefix = {a.id};
      return data::tokenizer(std::move(definition));
    }
  throw error("'" + settings.string() + "' adds the token " + content.dump() +
              " before a text, and tokenizer.json has no such added token");
}

/// A model to run: a run of tenon (its newest whole checkpoint, or that of a step), or a directory as transformers
/// saves it.
struct model_source {
  std::filesystem::path given;    ///< what was named
  std::filesystem::path weights;  ///< the directory that holds them
  bool is_run = false;
  std::optional<checkpoint::manifest> manifest;  ///< of a run
};

inline model_source find_model(std::filesystem::path const& given, std::optional<std::int64_t> step = {}) {
  if (std::filesystem::exists(given / "checkpoints")) {
    auto found = checkpoint_of(given, step);
    return {given, found.directory, true, std::move(found.contents)};
  }
  if (!std::filesystem::exists(given / "config.json"))
    throw error("'" + given.string() +
                "' is neither a run (it has no checkpoints/) nor a model (it has no config.json); name one of these");
  if (step) throw error("--step is for runs, and '" + given.string() + "' is a model directory");
  return {given, given, false, {}};
}

/// Calls f(Model) with the model policy of a source, as it generates.
template <class F>
auto with_source_model(model_source const& s, F f) {
  if (s.manifest) return with_model_of(*s.manifest, [&](auto const& m) { return f(without_modules(m)); });
  auto const file = s.given / "config.json";
  return with_config(read_json_object(file), file.string(), [&](auto const& c) { return f(c.model); });
}

/// Compares a compiled model with a source. Returns how its weights are stored. Throws tenon::error naming the fields
/// that differ.
template <class Model>
weight_facts require_model_of(model_source const& s, Model const& mine) {
  if (!s.manifest) {
    auto const found = require_same_model(s.given, mine);
    return found ? found->weights : weight_facts{};
  }
  weight_facts facts;
  with_model_of(*s.manifest, [&]<class Other>(Other const& other) {
    std::string all;
    if constexpr (std::is_same_v<Other, Model>) {
      for (auto const& d : differing_fields(without_modules(other), mine)) all += (all.empty() ? "" : ", ") + d;
      facts.layers = other.layers;
      if constexpr (requires { other.mtp_modules; }) facts.further_layers = other.mtp_modules;
    } else {
      all = "it is a " + std::string(Other::kind);
    }
    if (!all.empty()) throw error("'" + s.given.string() + "' holds another model than this program: " + all);
  });
  return facts;
}

/// Ids after which a text has ended: those of generation_config.json or config.json, and the tokenizer's end of text.
inline std::vector<std::int32_t> end_ids(std::filesystem::path const& directory, data::tokenizer const& tokens) {
  std::vector<std::int32_t> ends{tokens.end_of_text()};
  auto const ids = special_ids(directory);
  if (!ids.contains("eos_token_id")) return ends;
  auto const& eos = ids["eos_token_id"];
  for (auto const& id : eos.is_array() ? eos : nlohmann::json::array({eos})) ends.push_back(id.get<std::int32_t>());
  return ends;
}

}  // namespace tenon::deploy
