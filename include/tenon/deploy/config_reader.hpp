#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/core/text.hpp"

namespace tenon::deploy {

/// Reads one of the JSON files of a model directory whole. Throws tenon::error naming the file where it cannot be read,
/// has more than 16 MB or is no JSON object.
inline nlohmann::json read_json_object(std::filesystem::path const& file) {
  std::error_code code;
  auto const size = std::filesystem::file_size(file, code);
  std::ifstream in(file, std::ios::binary);
  if (code || !in) throw error("cannot read '" + file.string() + "'; give the directory that a model was saved to");
  if (size > (16u << 20)) throw error("'" + file.string() + "' has more than 16 MB and is no configuration");
  std::string const text{std::istreambuf_iterator<char>(in), {}};
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) throw error("'" + file.string() + "' is not a JSON object; fetch it again");
  return json;
}

/// A config.json that is read key by key. Every complaint names file and key; `finish` refuses keys that nobody has
/// asked for, unless they are known to leave the model's mathematics alone. A key that is null counts as absent.
class config_reader {
 public:
  config_reader(nlohmann::json json, std::string where) : json_(std::move(json)), where_(std::move(where)) {}

  std::string const& where() const { return where_; }
  /// Whether the key is there and not null; it then counts as read.
  bool has(std::string const& key) { return at(key) != nullptr; }
  /// The value as JSON, or null.
  nlohmann::json value(std::string const& key) {
    auto const* v = at(key);
    return v == nullptr ? nlohmann::json() : *v;
  }

  /// A count; required.
  int count(std::string const& key) {
    auto const* v = at(key);
    if (v == nullptr) refuse(key, "is missing");
    return to_count(key, *v);
  }
  int count_or(std::string const& key, int otherwise) {
    auto const* v = at(key);
    return v == nullptr ? otherwise : to_count(key, *v);
  }
  double number_or(std::string const& key, double otherwise) {
    auto const* v = at(key);
    if (v == nullptr) return otherwise;
    if (!v->is_number()) refuse(key, "is " + v->dump() + ", not a number");
    return v->get<double>();
  }
  bool flag_or(std::string const& key, bool otherwise) {
    auto const* v = at(key);
    if (v == nullptr) return otherwise;
    if (!v->is_boolean()) refuse(key, "is " + v->dump() + ", not true or false");
    return v->get<bool>();
  }
  std::string text_or(std::string const& key, std::string otherwise) {
    auto const* v = at(key);
    if (v == nullptr) return otherwise;
    if (!v->is_string()) refuse(key, "is " + v->dump() + ", not a text");
    return v->get<std::string>();
  }
  /// The key, where it is there, must have this value; `why` ends the sentence.
  void must_be(std::string const& key, nlohmann::json const& only, std::string const& why) {
    auto const* v = at(key);
    if (v != nullptr && *v != only) refuse(key, "is " + v->dump() + "; " + why);
  }
  /// The key is understood and has no part in the mathematics.
  void ignore(std::initializer_list<char const*> keys) {
    for (auto const* k : keys) read_.insert(k);
  }
  [[noreturn]] void refuse(std::string const& key, std::string const& why) const {
    throw error("'" + where_ + "': " + key + " " + why);
  }

  /// Throws tenon::error for a key that nobody read.
  void finish() const {
    // What transformers writes for itself: its own version, generation's defaults, labels, and names of files.
    static std::set<std::string_view> const harmless = {"architectures",
                                                        "model_type",
                                                        "dtype",
                                                        "torch_dtype",
                                                        "transformers_version",
                                                        "auto_map",
                                                        "use_cache",
                                                        "bos_token_id",
                                                        "eos_token_id",
                                                        "pad_token_id",
                                                        "sep_token_id",
                                                        "cls_token_id",
                                                        "mask_token_id",
                                                        "decoder_start_token_id",
                                                        "tokenizer_class",
                                                        "return_dict",
                                                        "output_hidden_states",
                                                        "output_attentions",
                                                        "output_router_logits",
                                                        "torchscript",
                                                        "use_bfloat16",
                                                        "pruned_heads",
                                                        "id2label",
                                                        "label2id",
                                                        "problem_type",
                                                        "task_specific_params",
                                                        "finetuning_task",
                                                        "is_decoder",
                                                        "is_encoder_decoder",
                                                        "add_cross_attention",
                                                        "cross_attention_hidden_size",
                                                        "tie_encoder_decoder",
                                                        "chunk_size_feed_forward",
                                                        "prefix",
                                                        "suppress_tokens",
                                                        "begin_suppress_tokens",
                                                        "temperature",
                                                        "top_k",
                                                        "top_p",
                                                        "typical_p",
                                                        "do_sample",
                                                        "num_beams",
                                                        "num_beam_groups",
                                                        "diversity_penalty",
                                                        "repetition_penalty",
                                                        "length_penalty",
                                                        "no_repeat_ngram_size",
                                                        "encoder_no_repeat_ngram_size",
                                                        "bad_words_ids",
                                                        "num_return_sequences",
                                                        "max_length",
                                                        "min_length",
                                                        "early_stopping",
                                                        "output_scores",
                                                        "return_dict_in_generate",
                                                        "forced_bos_token_id",
                                                        "forced_eos_token_id",
                                                        "remove_invalid_values",
                                                        "exponential_decay_length_penalty",
                                                        "tf_legacy_loss",
                                                        "pretraining_tp",
                                                        "ep_size"};
    for (auto const& [key, value] : json_.items()) {
      if (read_.count(key) != 0 || harmless.count(key) != 0 || key.starts_with("_")) continue;
      refuse(key, "is " + value.dump().substr(0, 60) +
                      ", which tenon does not know, so it cannot say whether the model is one it computes. If it "
                      "changes nothing in the model, remove the key");
    }
  }

 private:
  nlohmann::json const* at(std::string const& key) {
    read_.insert(key);
    auto const it = json_.find(key);
    return it == json_.end() || it->is_null() ? nullptr : &*it;
  }
  int to_count(std::string const& key, nlohmann::json const& v) const {
    if (!v.is_number_integer() || v.get<double>() < 0 || v.get<double>() > std::numeric_limits<int>::max())
      refuse(key, "is " + v.dump().substr(0, 60) + ", not a whole number from 0 to 2^31");
    return v.get<int>();
  }
  nlohmann::json json_;
  std::string where_;
  std::set<std::string> read_;
};

}  // namespace tenon::deploy
