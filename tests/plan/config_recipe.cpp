// Published models, and what config.json may not say.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/test.hpp"
#include "tenon/app/config_recipe.hpp"
#include "tenon/recipe.hpp"

using namespace tenon;
namespace fs = std::filesystem;

namespace {

struct model_directory {
  fs::path path = fs::temp_directory_path() / ("tenon_config_" + std::to_string(::getpid()));
  explicit model_directory(std::string const& config) {
    fs::create_directories(path);
    if (!config.empty()) std::ofstream(path / "config.json") << config;
  }
  ~model_directory() { fs::remove_all(path); }
};
std::string header_of(nlohmann::json const& config) { return app::config_recipe(model_directory(config.dump()).path, "mine"); }

/// Sizes of TinyLlama-1.1B, as its config.json says them.
nlohmann::json tiny_llama() {
  return {{"architectures", {"LlamaForCausalLM"}}, {"bos_token_id", 1}, {"eos_token_id", 2}, {"hidden_act", "silu"}, {"hidden_size", 2048},
          {"initializer_range", 0.02}, {"intermediate_size", 5632}, {"max_position_embeddings", 2048}, {"model_type", "llama"},
          {"num_attention_heads", 32}, {"num_hidden_layers", 22}, {"num_key_value_heads", 4}, {"pretraining_tp", 1}, {"rms_norm_eps", 1e-5},
          {"rope_scaling", nullptr}, {"tie_word_embeddings", false}, {"torch_dtype", "float32"}, {"transformers_version", "4.31.0.dev0"},
          {"use_cache", true}, {"vocab_size", 32000}};
}

// The numbers of parameters that are published with the weights: TinyLlama 1.1B, DeepSeek LLM 7B, DeepSeek Coder 1.3B, Llama 3.2 1B.
static_assert(model::deepseek_llm{.vocab = 32000, .hidden = 2048, .layers = 22, .heads = 32, .kv_heads = 4, .intermediate = 5632}.parameters() == 1'100'048'384);
static_assert(model::deepseek_llm{.vocab = 102400, .hidden = 4096, .layers = 30, .heads = 32, .intermediate = 11008}.parameters() == 6'910'365'696);
static_assert(model::deepseek_llm{.vocab = 32256, .hidden = 2048, .layers = 24, .heads = 16, .intermediate = 5504}.parameters() == 1'346'471'936);
static_assert(model::deepseek_llm{.vocab = 128256, .hidden = 2048, .layers = 16, .heads = 32, .kv_heads = 8, .intermediate = 8192, .tied = true}.parameters() == 1'235'814'400);

}  // namespace

TEST("a model directory becomes a recipe") {
  auto const header = header_of(tiny_llama());
  for (auto part : {"auto mine = tenon::recipe(", ".vocab = 32000, .hidden = 2048, .layers = 22, .heads = 32, .kv_heads = 4, .intermediate = 5632, .positions = 2048, .tied = false",
                    ".rope_theta = 10000, .norm_eps = 1e-05", "tenon::tokens{2048}", "tenon::tokens{22000000000}"})
    EXPECT(header.find(part) != std::string::npos);
  auto config = tiny_llama();
  config.erase("num_key_value_heads"), config["tie_word_embeddings"] = true;
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500000.0}}, config["head_dim"] = 64;
  auto const other = header_of(config);
  for (auto part : {".kv_heads = 32", ".tied = true", ".rope_theta = 5e+05"}) EXPECT(other.find(part) != std::string::npos);
}

TEST("what changes the model and is not there is refused by name") {
  auto const with = [](char const* key, nlohmann::json value) {
    auto config = tiny_llama();
    config[key] = std::move(value);
    return config;
  };
  EXPECT_THROWS_WITH(header_of(with("rope_scaling", {{"type", "linear"}, {"factor", 4.0}})), "rope_scaling is {\"factor\":4.0");
  EXPECT_THROWS_WITH(header_of(with("rope_parameters", {{"rope_type", "yarn"}})), "rope_parameters is");
  EXPECT_THROWS_WITH(header_of(with("model_type", "mixtral")), "model_type is \"mixtral\"");
  EXPECT_THROWS_WITH(header_of(with("attention_bias", true)), "it has no biases");
  EXPECT_THROWS_WITH(header_of(with("hidden_act", "gelu")), "hidden_act is \"gelu\"");
  EXPECT_THROWS_WITH(header_of(with("head_dim", 128)), "head_dim is 128");
  EXPECT_THROWS_WITH(header_of(with("sliding_window", 4096)), "sliding_window is not a key that tenon knows");
  EXPECT_THROWS_WITH(header_of(with("hidden_size", 2048.5)), "not a whole number");
  EXPECT_THROWS_WITH(header_of(with("vocab_size", 3'000'000'000)), "to 2^31 - 1");
  EXPECT_THROWS_WITH(header_of(with("rms_norm_eps", "small")), "not a number");
  auto config = tiny_llama();
  config.erase("hidden_size");
  EXPECT_THROWS_WITH(header_of(config), "hidden_size is missing");
  EXPECT_THROWS_WITH(app::config_recipe(model_directory("").path, "mine"), "there is no '");
  EXPECT_THROWS_WITH(app::config_recipe(model_directory("{").path, "mine"), "is not a JSON object");
}
