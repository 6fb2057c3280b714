// config.json as a model policy: both dialects of transformers, what is refused, what differs, the recipe of an import.
#include "tenon/deploy/model_config.hpp"

#include "support/test.hpp"
#include "tenon/deploy/import_recipe.hpp"
#include "tenon/recipe.hpp"

using namespace tenon;
using nlohmann::json;

namespace {

using dense = model::deepseek_llm;

/// What transformers 5.24 writes for a LlamaConfig (tests/live makes one and compares).
json const new_dialect =
    json::parse(R"({"architectures":["LlamaForCausalLM"],"attention_bias":false,"attention_dropout":0.0,
  "bos_token_id":1,"dtype":"float32","eos_token_id":2,"head_dim":8,"hidden_act":"silu","hidden_size":32,
  "initializer_range":0.02,"intermediate_size":48,"max_position_embeddings":64,"mlp_bias":false,"model_type":"llama",
  "num_attention_heads":4,"num_hidden_layers":2,"num_key_value_heads":2,"pad_token_id":null,"pretraining_tp":1,
  "rms_norm_eps":1e-05,"rope_parameters":{"rope_theta":50000.0,"rope_type":"default"},"tie_word_embeddings":false,
  "transformers_version":"5.24.0","use_cache":true,"vocab_size":320})");

/// The older form, as the published deepseek-llm-7b-base has it (widths made small).
json const old_dialect =
    json::parse(R"({"architectures":["LlamaForCausalLM"],"bos_token_id":100000,"eos_token_id":100001,
  "hidden_act":"silu","hidden_size":32,"initializer_range":0.02,"intermediate_size":48,"max_position_embeddings":64,
  "model_type":"llama","num_attention_heads":4,"num_hidden_layers":2,"num_key_value_heads":2,"pretraining_tp":1,
  "rms_norm_eps":1e-05,"rope_scaling":null,"rope_theta":50000.0,"tie_word_embeddings":false,"torch_dtype":"bfloat16",
  "transformers_version":"4.33.1","use_cache":true,"vocab_size":320})");

constexpr dense expected{.vocab = 320,
                         .hidden = 32,
                         .layers = 2,
                         .heads = 4,
                         .kv_heads = 2,
                         .intermediate = 48,
                         .positions = 64,
                         .rope_theta = 50000.0,
                         .norm_eps = 1e-5};

dense read(json const& j) { return deploy::parse_config<dense>(j, "DIR/config.json").model; }

json changed(char const* key, json value) {
  auto j = new_dialect;
  j[key] = std::move(value);
  return j;
}
json without(char const* key) {
  auto j = new_dialect;
  j.erase(key);
  return j;
}

}  // namespace

TEST("both dialects of a llama config give the same model, and what is written reads back") {
  for (auto const& j : {new_dialect, old_dialect}) EXPECT(deploy::differing_fields(read(j), expected).empty());
  auto const written = deploy::config_json(expected, "bfloat16", {{"eos_token_id", {5, 6}}});
  auto const again = read(json::parse(written.dump()));
  EXPECT(deploy::differing_fields(again, expected).empty());
  EXPECT_EQ(again.init_std, expected.init_std);
  EXPECT_EQ(written["eos_token_id"].dump(), "[5,6]");
  EXPECT(written["bos_token_id"].is_null());
  EXPECT_EQ(written["dtype"].get<std::string>(), "bfloat16");
  // What transformers wrote for the same model, key by key.
  for (char const* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                          "num_key_value_heads", "intermediate_size", "max_position_embeddings", "rms_norm_eps",
                          "head_dim", "hidden_act", "attention_bias", "mlp_bias", "tie_word_embeddings",
                          "rope_parameters", "architectures", "model_type", "initializer_range", "attention_dropout"})
    EXPECT_EQ(json::parse(written[key].dump()), new_dialect[key]);
  EXPECT_EQ(int(read(without("num_key_value_heads")).kv()), 4);
  EXPECT_EQ(read(without("tie_word_embeddings")).tied.get(), false);
}

TEST("what the model cannot say is refused by file and key") {
  auto const refused = [](json const& j, char const* part) {
    EXPECT_THROWS_WITH(read(j), part);
    EXPECT_THROWS_WITH(read(j), "DIR/config.json");
  };
  refused(changed("model_type", "gpt2"), "model_type 'gpt2'");
  refused(changed("architectures", {"LlamaForSequenceClassification"}), "architectures");
  refused(changed("hidden_act", "gelu"), "hidden_act is \"gelu\"");
  refused(changed("attention_bias", true), "attention_bias");
  refused(changed("mlp_bias", true), "mlp_bias");
  refused(changed("attention_dropout", 0.1), "attention_dropout");
  refused(changed("head_dim", 16), "head_dim is 16");
  refused(changed("vocab_size", "many"), "vocab_size is \"many\"");
  refused(changed("vocab_size", -3), "vocab_size is -3");
  refused(changed("hidden_size", 1e10), "hidden_size");
  refused(changed("rms_norm_eps", "small"), "rms_norm_eps");
  refused(changed("tie_word_embeddings", 1), "tie_word_embeddings");
  refused(without("hidden_size"), "hidden_size is missing");
  refused(changed("vocab_size", nullptr), "vocab_size is missing");
  refused(changed("sliding_window", 512), "sliding_window is 512, which tenon does not know");
  refused(changed("rope_parameters", {{"rope_theta", 1e4}, {"rope_type", "longrope"}}), "longrope");
  refused(changed("rope_parameters", 5), "rope_parameters");
  refused(changed("rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}), "rope_parameters");
  refused(changed("quantization_config", {{"quant_method", "gptq"}}), "quant_method fp8");
  refused(changed("quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {0, 128}}}),
          "weight_block_size");
  auto const fp8 = deploy::parse_config<dense>(
      changed("quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {64, 32}}}), "c");
  EXPECT((fp8.weights.fp8_block == std::array<std::int64_t, 2>{64, 32}));
  EXPECT_THROWS_WITH(deploy::with_config(changed("model_type", "gpt2"), "c", [](auto const&) {}),
                     "of model_type \"gpt2\", and tenon has llama");
  EXPECT_THROWS_WITH(deploy::read_json_object("/nonexistent/config.json"), "/nonexistent/config.json");
}

TEST("rotary scaling is read in either dialect, written, and read back") {
  auto const yarn = nlohmann::json{{"type", "yarn"}, {"factor", 4.0},         {"original_max_position_embeddings", 32},
                                   {"mscale", 0.7},  {"mscale_all_dim", 0.7}, {"beta_fast", 16}};
  json config = old_dialect;
  config["rope_scaling"] = yarn;
  auto const m = read(config);
  EXPECT(m.rope_scaling.type == model::rope_type::yarn);
  EXPECT((m.rope_scaling.factor == 4 && m.rope_scaling.original == 32 && m.rope_scaling.mscale == 0.7));
  EXPECT((m.rope_scaling.beta_fast == 16 && m.rope_scaling.beta_slow == 1 && m.rope_theta == 50000));
  auto const back = deploy::family<dense>::write(m);
  EXPECT(back["rope_parameters"]["rope_type"] == "yarn");
  json fresh = new_dialect;
  fresh["rope_parameters"] = back["rope_parameters"];
  EXPECT(deploy::differing_fields(read(fresh), m).empty());
  config["rope_scaling"]["alpha"] = 3;
  EXPECT_THROWS_WITH(read(config), "keys that tenon does not know");
}

TEST("DeepSeek-V2 and V3 as transformers 5.24 writes them") {
  auto const v3 =
      json::parse(R"({"architectures":["DeepseekV3ForCausalLM"],"attention_bias":false,"attention_dropout":0.0,
    "bos_token_id":0,"dtype":"float32","eos_token_id":1,"first_k_dense_replace":1,"head_dim":8,"hidden_act":"silu","hidden_size":32,
    "initializer_range":0.02,"intermediate_size":48,"kv_lora_rank":16,"max_position_embeddings":64,"model_type":"deepseek_v3",
    "moe_intermediate_size":16,"n_group":4,"n_routed_experts":8,"n_shared_experts":1,"norm_topk_prob":true,
    "num_attention_heads":4,"num_experts_per_tok":4,"num_hidden_layers":2,"num_key_value_heads":4,"num_nextn_predict_layers":1,
    "output_router_logits":false,"pad_token_id":null,"pretraining_tp":1,"q_lora_rank":null,"qk_head_dim":16,"qk_nope_head_dim":8,
    "qk_rope_head_dim":8,"rms_norm_eps":1e-06,"rope_interleave":true,"rope_parameters":{"rope_theta":10000.0,"rope_type":"default"},
    "routed_scaling_factor":2.5,"tie_word_embeddings":false,"topk_group":2,"transformers_version":"5.24.0","use_cache":true,
    "v_head_dim":8,"vocab_size":320})");
  using V3 = model::deepseek_v3;
  auto const found = deploy::parse_config<V3>(v3, "c");
  V3 const want{.vocab = 320,
                .hidden = 32,
                .layers = 2,
                .heads = 4,
                .latent_rank = 16,
                .nope_dim = 8,
                .rope_dim = 8,
                .value_dim = 8,
                .intermediate = 48,
                .dense_layers = 1,
                .experts = 8,
                .chosen = 4,
                .expert_intermediate = 16,
                .groups = 4,
                .chosen_groups = 2,
                .positions = 64};
  EXPECT(deploy::differing_fields(found.model, want).empty());
  EXPECT_EQ(found.weights.further_layers, 1);
  EXPECT_EQ(found.model.mtp_modules.get(), 0);  // the weights decide
  auto with_one = want;
  with_one.mtp_modules = 1;
  EXPECT_EQ(deploy::config_json(with_one, "float32", json::object())["num_nextn_predict_layers"], 1);
  EXPECT_EQ(deploy::without_modules(with_one).mtp_modules.get(), 0);
  auto scaled = want;  // what is exported, in both dialects, is read again
  scaled.rope_scaling = {.type = model::rope_type::yarn, .factor = 4, .original = 32, .mscale = 1, .mscale_all_dim = 1};
  auto both = json::parse(deploy::config_json(scaled, "float32", json::object()).dump());
  EXPECT(deploy::differing_fields(deploy::parse_config<V3>(both, "c").model, scaled).empty());
  both["rope_scaling"]["factor"] = 8;
  EXPECT_THROWS_WITH(deploy::parse_config<V3>(both, "c"), "say different things");
  auto const written = json::parse(deploy::config_json(want, "float32", json::object()).dump());
  EXPECT(deploy::differing_fields(deploy::parse_config<V3>(written, "c").model, want).empty());
  for (auto const& [key, value] :
       v3.items())  // every key of transformers', with its value; what is about the file aside
    if (key.find("token_id") == key.npos && key != "transformers_version" && key != "output_router_logits" &&
        key != "pretraining_tp" && key != "num_nextn_predict_layers" && key != "initializer_range") {
      DOCTEST_INFO(key);
      EXPECT_EQ(written[key], value);
    }
  auto const refused = [&](char const* key, json value, char const* part) {
    auto j = v3;
    j[key] = value;
    EXPECT_THROWS_WITH(deploy::parse_config<V3>(j, "c"), part);
  };
  refused("scoring_func", "softmax", "scoring_func");
  refused("rope_interleave", 1, "rope_interleave");
  auto halves = v3;
  halves["rope_interleave"] = false;
  EXPECT_EQ(deploy::parse_config<V3>(halves, "c").weights.turned, 8);
  EXPECT_EQ(deploy::parse_config<V3>(halves, "c").weights.head_dim, 16);
  EXPECT_EQ(found.weights.turned, 0);
  refused("moe_layer_freq", 2, "moe_layer_freq");
  refused("num_key_value_heads", 2, "num_key_value_heads");
  refused("n_routed_experts", nullptr, "n_routed_experts is missing");

  using V2 = model::deepseek_v2;
  auto v2 = v3;
  for (char const* key : {"rope_interleave", "num_nextn_predict_layers"}) v2.erase(key);
  v2["architectures"] = {"DeepseekV2ForCausalLM"}, v2["model_type"] = "deepseek_v2", v2["norm_topk_prob"] = false;
  v2["q_lora_rank"] = 12, v2["mlp_bias"] = false, v2["topk_method"] = "group_limited_greedy";
  auto const grouped = deploy::parse_config<V2>(v2, "c").model;
  EXPECT_EQ(grouped.groups.get(), 4);
  EXPECT_EQ(grouped.query_rank.get(), 12);
  auto const back = json::parse(deploy::config_json(grouped, "float32", json::object()).dump());
  EXPECT(deploy::differing_fields(deploy::parse_config<V2>(back, "c").model, grouped).empty());
  v2["topk_method"] = "greedy";
  EXPECT_EQ(deploy::parse_config<V2>(v2, "c").model.groups.get(), 1);
  v2["norm_topk_prob"] = true;
  EXPECT_THROWS_WITH(deploy::parse_config<V2>(v2, "c"), "norm_topk_prob");
}

TEST("a recipe that differs is refused by the names of all fields that do") {
  auto mine = expected;
  mine.hidden = 64, mine.tied = true, mine.init_std = 0.5;  // the initialiser is no matter of the file
  auto const d = deploy::differing_fields(read(new_dialect), mine);
  REQUIRE(d.size() == 2);
  EXPECT_EQ(d[0], "model.hidden is 32 there and 64 here");
  EXPECT_EQ(d[1], "model.tied is false there and true here");
  auto many = expected;
  many.kv_heads = 4;
  auto all = expected;
  all.kv_heads = 0;  // means as many as heads: no difference to 4
  EXPECT(deploy::differing_fields(many, all).empty());
}

TEST("an imported recipe is C++ with the fields of the file") {
  auto const text = deploy::recipe_header(expected, "tiny", "some/dir");
  EXPECT(text.find("inline constexpr auto tiny = tn::recipe(\n"
                   "    tn::model::deepseek_llm{.vocab = 320, .hidden = 32, .layers = 2, .heads = 4, .kv_heads = 2, "
                   ".intermediate = 48, .positions = 64, .rope_theta = 50000.0, .norm_eps = 1e-05},") !=
         std::string::npos);
  EXPECT(text.find(".sequence = 64_tokens") != std::string::npos);
  EXPECT_EQ(deploy::separated(1234567), "1'234'567");
  EXPECT_EQ(deploy::separated(12), "12");
  EXPECT_THROWS_WITH(deploy::recipe_header(expected, "2nd-try", "d"), "'2nd-try' is not a C++ name");
  // The text of the test above, compiled.
  using namespace tenon::literals;
  namespace tn = tenon;
  static constexpr auto tiny =
      tn::recipe(tn::model::deepseek_llm{.vocab = 320,
                                         .hidden = 32,
                                         .layers = 2,
                                         .heads = 4,
                                         .kv_heads = 2,
                                         .intermediate = 48,
                                         .positions = 64,
                                         .rope_theta = 50000.0,
                                         .norm_eps = 1e-05},
                 tn::horizon{1'000_steps}, tn::batch{.sequence = 64_tokens, .global = 8_samples, .micro = 4_samples},
                 tn::optimizer::adamw{.weight_decay = 0.1, .clip = 1.0},
                 tn::schedule::warmup_cosine{.peak = 2e-5, .warmup = 3_percent, .floor = 0.1},
                 tn::checkpoint::every{.period = tn::steps{200}, .keep = 3});
  static_assert(tn::legal<tiny>);
  EXPECT(deploy::differing_fields(tiny.model, expected).empty());
}
