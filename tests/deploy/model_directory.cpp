// The offline form of the interchange: a directory as transformers writes it, with the weights of a golden file, has
// the golden's logits when it is read. (tests/app/run.cpp goes the other way; tests/app/interchange.cpp asks
// transformers.)
#include "golden/llama.hpp"
#include "observe/python.hpp"
#include "support/test.hpp"
#include "tenon/checkpoint/weight_files.hpp"
#include "tenon/deploy/model_config.hpp"

using namespace tenon;

namespace {

constexpr model::deepseek_llm policy{
    .vocab = 48, .hidden = 32, .layers = 2, .heads = 4, .kv_heads = 2, .intermediate = 24, .positions = 64};
char const* const config = R"({"architectures":["LlamaForCausalLM"],"attention_bias":false,"attention_dropout":0.0,
  "bos_token_id":1,"dtype":"float16","eos_token_id":2,"head_dim":8,"hidden_act":"silu","hidden_size":32,
  "initializer_range":0.02,"intermediate_size":24,"max_position_embeddings":64,"mlp_bias":false,"model_type":"llama",
  "num_attention_heads":4,"num_hidden_layers":2,"num_key_value_heads":2,"pad_token_id":null,"pretraining_tp":1,
  "rms_norm_eps":1e-06,"rope_parameters":{"rope_theta":10000.0,"rope_type":"default"},"tie_word_embeddings":false,
  "transformers_version":"5.24.0","use_cache":true,"vocab_size":48})";

struct string_sink {
  std::string bytes;
  void write(void const* data, std::size_t size) { bytes.append(static_cast<char const*>(data), size); }
};

}  // namespace

TEST("a directory of fp16 shards with an index gives the logits that transformers has for it, within 1e-5") {
  tenon_test::temporary_directory const d;
  golden const file("llama_untied");
  std::vector<std::vector<checkpoint::tensor_view>> shards(3);
  nlohmann::json map;
  std::size_t n = 0;
  for (auto const& [name, t] : file.tensors()) {
    if (!name.starts_with("weight/")) continue;
    REQUIRE(t.type == checkpoint::dtype::F16);
    auto const which = n++ % 3;
    shards[which].push_back({name.substr(7), t.type, t.shape, t.bytes.data()});
    map[name.substr(7)] = "model-0000" + std::to_string(which + 1) + "-of-00003.safetensors";
  }
  for (std::size_t i = 0; i < 3; ++i) {
    string_sink sink;
    checkpoint::write_safetensors(sink, shards[i]);
    tenon_test::spill(d.path / ("model-0000" + std::to_string(i + 1) + "-of-00003.safetensors"), sink.bytes);
  }
  tenon_test::spill(d.path / "model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
  tenon_test::spill(d.path / "config.json", config);

  REQUIRE(deploy::require_same_model(d.path, policy).has_value());
  auto narrow = policy;
  narrow.hidden = 16;
  EXPECT_THROWS_WITH(deploy::require_same_model(d.path, narrow), "model.hidden is 32 there and 16 here");
  golden_llama::rig<golden_llama::untied> r(2);
  std::fill(r.store.master(), r.store.master() + r.store.size, 0.f);
  checkpoint::weight_files from(d.path);
  for (auto const& p : exec::parameter_places<golden_llama::untied>())
    from.read(p.name, p.shape(), r.store.master() + p.offset);
  from.finish();
  r.store.refresh_copy();
  auto const have = r.logits(r.tokens, golden_llama::samples, golden_llama::sequence);
  auto const want = file.reals("logits");
  REQUIRE(have.size() == want.size());
  double worst = 0;
  for (std::size_t i = 0; i < have.size(); ++i) worst = std::fmax(worst, std::abs(double(have[i]) - want[i]));
  DOCTEST_INFO("worst difference " << worst);
  EXPECT(worst <= 1e-5);
}
