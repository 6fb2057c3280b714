// The directory of a published model as the recipe that ./tenon plan and ./tenon fit ask about. Reading config.json itself is
// tested in tests/deploy/model_config.cpp.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/test.hpp"
#include "tenon/deploy/import_recipe.hpp"
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
std::string header_of(nlohmann::json const& config) {
  return deploy::planned_header_of(model_directory(config.dump()).path, "mine");
}

/// Sizes of TinyLlama-1.1B, as its config.json says them.
nlohmann::json tiny_llama() {
  return {{"architectures", {"LlamaForCausalLM"}}, {"bos_token_id", 1}, {"eos_token_id", 2}, {"hidden_act", "silu"}, {"hidden_size", 2048},
          {"initializer_range", 0.02}, {"intermediate_size", 5632}, {"max_position_embeddings", 2048}, {"model_type", "llama"},
          {"num_attention_heads", 32}, {"num_hidden_layers", 22}, {"num_key_value_heads", 4}, {"pretraining_tp", 1}, {"rms_norm_eps", 1e-5},
          {"rope_scaling", nullptr}, {"tie_word_embeddings", false}, {"torch_dtype", "float32"}, {"transformers_version", "4.31.0.dev0"},
          {"use_cache", true}, {"vocab_size", 32000}};
}
/// Those of DeepSeek-V2-Lite, likewise (the keys that decide).
nlohmann::json v2_lite() {
  return {{"architectures", {"DeepseekV2ForCausalLM"}}, {"model_type", "deepseek_v2"}, {"hidden_act", "silu"}, {"attention_bias", false},
          {"vocab_size", 102400}, {"hidden_size", 2048}, {"num_hidden_layers", 27}, {"num_attention_heads", 16}, {"num_key_value_heads", 16},
          {"intermediate_size", 10944}, {"moe_intermediate_size", 1408}, {"n_routed_experts", 64}, {"n_shared_experts", 2},
          {"num_experts_per_tok", 6}, {"first_k_dense_replace", 1}, {"moe_layer_freq", 1}, {"kv_lora_rank", 512}, {"q_lora_rank", nullptr},
          {"qk_nope_head_dim", 128}, {"qk_rope_head_dim", 64}, {"v_head_dim", 128}, {"norm_topk_prob", false}, {"routed_scaling_factor", 1.0},
          {"scoring_func", "softmax"}, {"topk_method", "greedy"}, {"n_group", 1}, {"topk_group", 1}, {"aux_loss_alpha", 0.001}, {"seq_aux", true},
          {"max_position_embeddings", 163840}, {"rms_norm_eps", 1e-6}, {"rope_theta", 10000.0}, {"tie_word_embeddings", false},
          {"rope_scaling", {{"beta_fast", 32}, {"beta_slow", 1}, {"factor", 40}, {"mscale", 0.707}, {"mscale_all_dim", 0.707},
                            {"original_max_position_embeddings", 4096}, {"type", "yarn"}}}};
}

// The numbers of parameters that are published with the weights: TinyLlama 1.1B, DeepSeek LLM 7B, DeepSeek Coder 1.3B, Llama 3.2 1B.
static_assert(model::deepseek_llm{.vocab = 32000, .hidden = 2048, .layers = 22, .heads = 32, .kv_heads = 4, .intermediate = 5632}.parameters() == 1'100'048'384);
static_assert(model::deepseek_llm{.vocab = 102400, .hidden = 4096, .layers = 30, .heads = 32, .intermediate = 11008}.parameters() == 6'910'365'696);
static_assert(model::deepseek_llm{.vocab = 32256, .hidden = 2048, .layers = 24, .heads = 16, .intermediate = 5504}.parameters() == 1'346'471'936);
static_assert(model::deepseek_llm{.vocab = 128256, .hidden = 2048, .layers = 16, .heads = 32, .kv_heads = 8, .intermediate = 8192, .tied = true}.parameters() == 1'235'814'400);

}  // namespace

TEST("a model directory becomes a recipe: a dense model") {
  auto const header = header_of(tiny_llama());
  for (auto part : {"auto mine = tn::recipe(", "tn::model::deepseek_llm{.vocab = 32'000, .hidden = 2'048, .layers = 22, .heads = 32, .kv_heads = 4, .intermediate = 5'632, .positions = 2'048",
                    ".norm_eps = 1e-05", "tn::target::h200{}", "tn::tokens{2'048}", "tn::tokens{23'000'000'000}"}) {
    DOCTEST_INFO(header);
    EXPECT(header.find(part) != std::string::npos);
  }
  auto config = tiny_llama();
  config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 4.0}};
  EXPECT(header_of(config).find(".rope_scaling = {.type = tn::model::rope_type::linear, .factor = 4.0}") != std::string::npos);
}

TEST("a model directory becomes a recipe: latent attention, experts, yarn") {
  auto const header = header_of(v2_lite());
  for (auto part : {"tn::model::deepseek_v2{", ".experts = 64, .chosen = 6, .shared = 2, .expert_intermediate = 1'408", "rope_type::yarn", "tn::tokens{4'096}", "tn::tokens{315'000'000'000}"}) {
    DOCTEST_INFO(header);
    EXPECT(header.find(part) != std::string::npos);
  }
}

TEST("what changes the model and is not there is refused by name") {
  auto const with = [](char const* key, nlohmann::json value) {
    auto config = tiny_llama();
    config[key] = std::move(value);
    return config;
  };
  EXPECT_THROWS_WITH(header_of(with("rope_scaling", {{"type", "dynamic"}, {"factor", 4.0}})), "rope_scaling is");
  EXPECT_THROWS_WITH(header_of(with("model_type", "mixtral")), "is of model_type \"mixtral\"");
  EXPECT_THROWS_WITH(header_of(with("sliding_window", 4096)), "sliding_window is 4096");
  EXPECT_THROWS_WITH(header_of(with("hidden_size", 2048.5)), "not a whole number");
  EXPECT_THROWS_WITH(deploy::planned_header_of(model_directory("").path, "mine"), "there is no '");
  EXPECT_THROWS_WITH(deploy::planned_header_of(model_directory("{").path, "mine"), "is not a JSON object");
}
