#pragma once
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/core/text.hpp"

/// From a Hugging Face model's directory to a recipe's header.
namespace tenon::app {

/// A config.json of llama's layout, read key by key: what the model's policy has no field for is refused by name.
class config_reader {
 public:
  config_reader(nlohmann::json const& all, std::string file) : all_(all), file_(std::move(file)) {}

  /// A whole number from 1 up; `otherwise` where the key is missing or null, and 0 means that it may not be.
  std::int64_t count(char const* key, std::int64_t otherwise = 0) {
    seen_.emplace_back(key);
    if (!given(key)) {
      if (otherwise == 0) fail(key, "is missing; a model of llama's layout has it");
      return otherwise;
    }
    if (!all_[key].is_number_integer() || all_[key] < 1 || all_[key] > INT32_MAX)
      fail(key, "is " + all_[key].dump() + ", not a whole number from 1 to 2^31 - 1");
    return all_[key].get<std::int64_t>();
  }
  double number(char const* key, double otherwise) {
    seen_.emplace_back(key);
    if (!given(key)) return otherwise;
    if (!all_[key].is_number()) fail(key, "is " + all_[key].dump() + ", not a number");
    return all_[key].get<double>();
  }
  bool flag(char const* key) {
    seen_.emplace_back(key);
    if (!given(key)) return false;
    if (!all_[key].is_boolean()) fail(key, "is " + all_[key].dump() + ", neither true nor false");
    return all_[key].get<bool>();
  }
  /// The key may be missing, null or one of `values`; anything else changes the model in a way that tenon does not
  /// have.
  void expect(char const* key, std::vector<nlohmann::json> const& values, std::string const& remedy) {
    seen_.emplace_back(key);
    if (given(key) && std::find(values.begin(), values.end(), all_[key]) == values.end())
      fail(key, "is " + all_[key].dump() + ", which tenon's model does not have" + remedy);
  }
  /// Keys that say nothing about sizes or mathematics.
  void ignore(std::vector<std::string> const& keys) { seen_.insert(seen_.end(), keys.begin(), keys.end()); }
  /// Throws for a key that nobody asked for.
  void done() const {
    for (auto const& [key, value] : all_.items())
      if (key.front() != '_' && std::find(seen_.begin(), seen_.end(), key) == seen_.end())
        fail(key, "is not a key that tenon knows; remove it from a copy of the file if it does not change the model");
  }
  [[noreturn]] void fail(std::string const& key, std::string const& what) const {
    throw error("'" + file_ + "': " + key + " " + what);
  }

 private:
  bool given(char const* key) const { return all_.contains(key) && !all_[key].is_null(); }
  nlohmann::json const& all_;
  std::string file_;
  std::vector<std::string> seen_;
};

/// The base of the rotary frequencies: a key of its own, or since transformers 5 in `rope_parameters`.
inline double rotary_base(config_reader& c, nlohmann::json const& json) {
  auto const in_place = c.number("rope_theta", 10000.0);
  c.ignore({"rope_parameters"});
  auto const at = json.find("rope_parameters");
  if (at == json.end() || at->is_null()) return in_place;
  if (!at->is_object() || at->value("rope_type", "default") != "default" ||
      !at->value("rope_theta", nlohmann::json(in_place)).is_number())
    c.fail("rope_parameters",
           "is " + at->dump() + ", which tenon's model does not have: its rotary positions are not scaled");
  return at->value("rope_theta", in_place);
}

/// The recipe's header for a model directory: the model as `config.json` states it, samples as long as its positions
/// but at most 4,096 tokens, 256 of them a step, 20 tokens a parameter (Hoffmann et al. 2022, section 3), one H200.
/// `name`: the recipe's. Throws tenon::error where the file cannot be read or is of a model that tenon does not have.
inline std::string config_recipe(std::filesystem::path const& directory, std::string const& name) {
  auto const file = (directory / "config.json").string();
  std::ifstream in(file, std::ios::binary);
  if (!in) throw error("there is no '" + file + "'; give a recipe's header, or the directory of a Hugging Face model");
  auto const json = nlohmann::json::parse(in, nullptr, false);
  if (json.is_discarded() || !json.is_object()) throw error("'" + file + "' is not a JSON object");
  config_reader c(json, file);
  c.expect("model_type", {"llama"}, "; models of llama's layout are there (DeepSeek LLM and Coder, Llama)");
  c.expect("architectures", {{"LlamaForCausalLM"}},
           "; models of llama's layout are there (DeepSeek LLM and Coder, Llama)");
  if (!json.contains("model_type")) c.fail("model_type", "is missing, so the file does not say which model this is");
  auto const vocab = c.count("vocab_size"), hidden = c.count("hidden_size"), layers = c.count("num_hidden_layers"),
             heads = c.count("num_attention_heads"), kv = c.count("num_key_value_heads", heads),
             intermediate = c.count("intermediate_size"), positions = c.count("max_position_embeddings", 4096);
  bool const tied = c.flag("tie_word_embeddings");
  auto const theta = rotary_base(c, json), epsilon = c.number("rms_norm_eps", 1e-6),
             deviation = c.number("initializer_range", 0.02);
  if (heads > 0 && hidden % heads == 0) c.expect("head_dim", {hidden / heads}, ": its heads are hidden / heads wide");
  c.expect("hidden_act", {"silu"}, "");
  c.expect("attention_bias", {false}, ": it has no biases");
  c.expect("mlp_bias", {false}, ": it has no biases");
  c.expect("attention_dropout", {0, 0.0}, ": it has no dropout");
  c.expect("pretraining_tp", {1}, "");
  c.expect("rope_scaling", {}, ": its rotary positions are not scaled");
  c.expect("quantization_config", {}, ": it trains unquantized weights");
  c.ignore({"torch_dtype", "dtype", "transformers_version", "use_cache", "bos_token_id", "eos_token_id", "pad_token_id",
            "unk_token_id", "auto_map"});
  c.done();
  double const parameters =
      double(vocab) * double(hidden) * (tied ? 1 : 2) +
      double(layers) * double(hidden) * double(2 * hidden + 2 * hidden / heads * kv + 3 * intermediate);
  auto const whole = [](std::int64_t n) { return std::to_string(n); };
  return "#pragma once\n// The model of " + file + ".\n#include <tenon/tenon.hpp>\n\ninline constexpr auto " + name +
         " = tenon::recipe(\n    tenon::model::deepseek_llm{.vocab = " + whole(vocab) + ", .hidden = " + whole(hidden) +
         ", .layers = " + whole(layers) + ", .heads = " + whole(heads) + ", .kv_heads = " + whole(kv) +
         ", .intermediate = " + whole(intermediate) + ", .positions = " + whole(positions) +
         ", .tied = " + (tied ? "true" : "false") + ", .rope_theta = " + to_text(theta) +
         ", .norm_eps = " + to_text(epsilon) + ", .init_std = " + to_text(deviation) +
         "},\n    tenon::target::h200{},\n    tenon::horizon{tenon::tokens{" +
         whole(std::int64_t(20 * parameters / 1e9 + 1) * 1'000'000'000) +
         "}},\n    tenon::batch{.sequence = tenon::tokens{" + whole(std::min<std::int64_t>(4096, positions)) +
         "}, .global = tenon::samples{256}, .micro = tenon::samples{1}});\n";
}

}  // namespace tenon::app
