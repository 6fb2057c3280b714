#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tenon/checkpoint/directory.hpp"
#include "tenon/checkpoint/weight_values.hpp"
#include "tenon/data/tokenizer_json.hpp"
#include "tenon/deploy/base_model.hpp"
#include "tenon/deploy/model_config.hpp"
#include "tenon/deploy/side_files.hpp"
#include "tenon/recipe/json.hpp"

/// A run as a directory that transformers loads.
namespace tenon::deploy {

/// What to export, and how.
struct export_options {
  std::filesystem::path run, out;
  std::optional<std::int64_t> step = {};            ///< default: the newest checkpoint that is whole
  checkpoint::dtype type = checkpoint::dtype::F32;  ///< F32, BF16 or F16: of the weights in the files
  std::uint64_t shard_bytes = 5'000'000'000;        ///< a file of weights has at most so many, or one tensor
  std::optional<std::filesystem::path> base = {};   ///< where the model of --init is now, of a run that kept it
};

/// What was written.
struct exported {
  std::int64_t step = 0, parameters = 0;
  std::vector<std::string> files;
};

namespace detail {

/// Fills an aggregate of fields, fixed ones too, from the JSON that a manifest keeps of it. A field that is younger
/// than the checkpoint keeps its default.
template <class Aggregate>
void read_fields(nlohmann::json const& json, std::string const& path, Aggregate& into) {
  for_each_field(into, [&]<class Member>(std::string_view name, Member& member) {
    auto const at = json.find(name);
    if (at == json.end()) return;
    auto const here = path + "." + std::string(name);
    if constexpr (is_leaf<Member>) {
      typename field_traits<Member>::value_type value = member;
      parse_text(fields::scalar_text(*at, here), value);
      member = value;
    } else {
      read_fields(*at, here, member);
    }
  });
}

}  // namespace detail

/// The model policy of a run, out of the recipe that its checkpoints keep: calls f(Model). Throws tenon::error for a
/// model that has no config.json.
template <class F>
auto with_model_of(checkpoint::manifest const& m, F f) {
  auto const& json = m.recipe.at("values").at("model");
  auto const kind = json.at("kind").get<std::string>();
  auto const pick = [&]<class First, class... Rest>(auto self, std::tuple<First, Rest...>*) {
    if (kind == First::kind) {
      First model;
      detail::read_fields(json, "model", model);
      return f(model);
    }
    if constexpr (sizeof...(Rest) > 0)
      return self(self, static_cast<std::tuple<Rest...>*>(nullptr));
    else
      throw error("the run's model is " + kind + ", which has no form of transformers'");
  };
  return pick(pick, static_cast<families*>(nullptr));
}

/// The checkpoint to take: the newest whole one, or that of `step`. Throws tenon::error where there is none.
inline checkpoint::stored_checkpoint checkpoint_of(std::filesystem::path const& run, std::optional<std::int64_t> step) {
  std::vector<std::string> damaged;
  for (auto const& c : checkpoint::list_checkpoints(run)) {
    if (step && c.step != *step) continue;
    if (auto found = checkpoint::verify_checkpoint(c, damaged)) return std::move(*found);
  }
  std::string why = "'" + run.string() + "' has no checkpoint" + (step ? " of step " + std::to_string(*step) : "");
  why += damaged.empty() ? "; give the directory of a run that has saved one" : " that is whole: " + damaged.front();
  throw error(why);
}

namespace detail {

/// What each module of multi-token prediction repeats in published files: name, and the tensor that it is.
template <class Model>
std::vector<std::pair<std::string, std::string>> repeated_tensors(Model const& m) {
  std::vector<std::pair<std::string, std::string>> all;
  if constexpr (requires { m.mtp_modules; })
    for (int k = 0; k < m.mtp_modules; ++k) {
      auto const layer = "model.layers." + std::to_string(m.layers + k) + ".";
      all.emplace_back(layer + "embed_tokens.weight", "model.embed_tokens.weight");
      all.emplace_back(layer + "shared_head.head.weight", m.tied ? "model.embed_tokens.weight" : "lm_head.weight");
    }
  return all;
}

/// A tensor of the export.
struct exported_tensor {
  std::string name;
  checkpoint::dtype type;
  std::vector<std::int64_t> shape;
  std::uint64_t bytes() const { return *checkpoint::bytes_of(type, shape); }
};

/// Files of weights: which tensors go where.
inline std::vector<std::vector<exported_tensor>> shards(
    std::vector<std::pair<std::string, std::vector<std::int64_t>>> const& weights, checkpoint::dtype type,
    std::uint64_t most) {
  std::vector<std::vector<exported_tensor>> all(1);
  std::uint64_t used = 0;
  for (auto const& [name, shape] : weights) {
    exported_tensor t{name, name.ends_with(".e_score_correction_bias") ? checkpoint::dtype::F32 : type, shape};
    if (!all.back().empty() && used + t.bytes() > most) all.emplace_back(), used = 0;
    used += t.bytes();
    all.back().push_back(std::move(t));
  }
  return all;
}

/// Writes one file; its tensors are read in fp32 and rounded to their type, so it is in memory as a whole.
/// `repeated`: names of tensors that are others again.
inline void write_shard(std::filesystem::path const& file, std::vector<exported_tensor> const& tensors,
                        whole_weights& from, std::map<std::string, std::string> const& repeated) {
  std::vector<std::vector<std::byte>> held;
  std::vector<checkpoint::tensor_view> views;
  std::vector<float> values;
  for (auto const& t : tensors) {
    auto& to = held.emplace_back(t.bytes());
    auto const count = t.bytes() / checkpoint::size_of(t.type);
    values.resize(count);
    auto const other = repeated.find(t.name);
    from.read(other == repeated.end() ? t.name : other->second, t.shape, values.data());
    if (t.type == checkpoint::dtype::F32)
      std::memcpy(to.data(), values.data(), to.size());
    else
      checkpoint::from_floats(values.data(), std::int64_t(count), t.type, to.data());
    views.push_back({t.name, t.type, t.shape, to.data()});
  }
  checkpoint::output_file<> sink(file);
  checkpoint::write_safetensors(sink, std::move(views));
  sink.finish();
}

inline void write_json(std::filesystem::path const& file, nlohmann::ordered_json const& json) {
  std::string const text = json.dump(2) + "\n";
  checkpoint::output_file<> sink(file);
  sink.write(text.data(), text.size());
  sink.finish();
}

}  // namespace detail

/// Writes OUT/{config.json, model.safetensors or its shards and index, tokenizer.json, tokenizer_config.json,
/// generation_config.json, and what else an imported model brought}. OUT must not exist; it appears complete or not at
/// all. Throws io_error, or tenon::error saying what is missing.
inline exported export_run(export_options const& o) {
  namespace fs = std::filesystem;
  if (fs::exists(o.out)) throw error("'" + o.out.string() + "' exists already; name a directory that does not");
  auto const found = checkpoint_of(o.run, o.step);
  whole_weights weights(found.directory, found.contents, o.base);
  bool tied = false;
  with_model_of(found.contents, [&](auto const& model) {
    tied = model.tied;
    if (weights.has_base())
      if (auto const config = require_same_model(weights.files().directory(), model)) config->weights.tell(weights.files());
  });
  auto list = weights.files().weights();
  if (tied) std::erase_if(list, [](auto const& t) { return t.first == "lm_head.weight"; });  // it repeats the embedding

  auto const origin = read_origin(o.run);
  auto const tokens = data::load_tokenizer(o.run / "tokenizer.json", origin ? origin->end_of_text : "");
  auto ids = special_ids(o.run);
  if (!ids.contains("eos_token_id")) ids["eos_token_id"] = tokens.end_of_text();

  auto part = o.out;
  part += ".part";
  fs::remove_all(part);
  std::error_code code;
  fs::create_directories(part, code);
  if (code) throw error("could not make '" + part.string() + "': " + code.message());
  exported result{found.contents.step, 0, {}};
  std::map<std::string, std::string> repeated;
  try {
    with_model_of(found.contents, [&](auto const& model) {
      for (auto const& [name, original] : detail::repeated_tensors(model)) repeated[name] = original;
    });
    for (auto const& [name, original] : repeated) list.emplace_back(name, weights.files().shape_of(original));
    auto const shards = detail::shards(list, o.type, o.shard_bytes);
    nlohmann::ordered_json map = nlohmann::ordered_json::object();
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < shards.size(); ++i) {
      char name[64] = "model.safetensors";
      if (shards.size() > 1) std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, shards.size());
      for (auto const& t : shards[i]) {
        total += t.bytes(), result.parameters += std::int64_t(t.bytes() / checkpoint::size_of(t.type));
        map[t.name] = name;
      }
      detail::write_shard(part / name, shards[i], weights, repeated);
      result.files.emplace_back(name);
    }
    auto const add = [&](char const* name, nlohmann::ordered_json const& json) {
      detail::write_json(part / name, json);
      result.files.emplace_back(name);
    };
    weights.finish();
    if (shards.size() > 1)
      add("model.safetensors.index.json", {{"metadata", {{"total_size", total}}}, {"weight_map", map}});
    char const* const dtype = o.type == checkpoint::dtype::F32    ? "float32"
                              : o.type == checkpoint::dtype::BF16 ? "bfloat16"
                                                                  : "float16";
    int positions = 0;
    with_model_of(found.contents, [&](auto const& model) {
      positions = model.positions;
      add("config.json", config_json(model, dtype, ids));
    });
    copy_side_files(o.run, part);
    for (auto const name : side_files)
      if (fs::exists(part / name)) result.files.emplace_back(name);
    data::save_tokenizer(tokens, part / "tokenizer.json");
    result.files.emplace_back("tokenizer.json");
    if (!fs::exists(part / "tokenizer_config.json"))
      add("tokenizer_config.json", {{"tokenizer_class", "PreTrainedTokenizerFast"},
                                    {"eos_token", tokens.definition().end_of_text},
                                    {"clean_up_tokenization_spaces", false},
                                    {"model_max_length", positions}});
    if (!fs::exists(part / "generation_config.json")) {
      nlohmann::ordered_json generation = nlohmann::ordered_json::object();
      for (auto const& [key, value] : ids.items()) generation[key] = value;
      add("generation_config.json", generation);
    }
    checkpoint::sync_directory(part);
    fs::rename(part, o.out);
  } catch (...) {
    fs::remove_all(part, code);
    throw;
  }
  return result;
}

}  // namespace tenon::deploy
