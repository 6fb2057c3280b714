// What a run writes is a model that transformers runs.
#include "live/live.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

#include "support/test.hpp"
#include "train/tiny.hpp"

using namespace tenon;
using namespace tenon::literals;

namespace {

/// config.json of transformers for a recipe's model.
template <class Model>
nlohmann::json config_of(Model const& m) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", m.vocab.get()},
          {"hidden_size", m.hidden.get()},
          {"num_hidden_layers", m.layers.get()},
          {"num_attention_heads", m.heads.get()},
          {"num_key_value_heads", m.kv()},
          {"intermediate_size", m.intermediate.get()},
          {"max_position_embeddings", m.positions.get()},
          {"rms_norm_eps", m.norm_eps.get()},
          {"rope_theta", m.rope_theta.get()},
          {"tie_word_embeddings", m.tied.get()},
          {"hidden_act", "silu"},
          {"attention_bias", false},
          {"mlp_bias", false},
          {"torch_dtype", "float32"},
          {"bos_token_id", nullptr},
          {"eos_token_id", nullptr}};
}

template <auto const& R>
void transformers_agrees() {
  train::trainer<R> t(R, 2, 20_steps);
  tiny::run(t, 6);
  tiny::directory const run;
  auto const directory = tiny::saved(run.path, t);

  auto rows = random_batch(R.batch.micro.count, R.batch.sequence.count, tiny::words, 77);
  for (std::int64_t i = 0; i < rows.samples * rows.sequence; ++i)  // one document a sample, as transformers takes it
    rows.positions[std::size_t(i)] = std::int32_t(i % rows.sequence), rows.document_start[std::size_t(i)] = 0;
  auto region = [&](int member) {
    auto x = t.engine().on(t.team(), member);
    t.engine().clear_loss(x);
    t.engine().evaluate(x, rows.view());
  };
  t.team().run(region);
  double const loss = t.engine().loss_sum() / double(rows.count());

  std::ofstream(directory / "config.json") << config_of(R.model);
  std::ofstream(directory / "batch.json") << nlohmann::json{{"samples", rows.samples},
                                                            {"sequence", rows.sequence},
                                                            {"tokens", rows.tokens},
                                                            {"targets", rows.targets},
                                                            {"loss", loss}};
  auto const result = live::python("transformers_loss.py", directory.string());
  DOCTEST_INFO(result.output);
  EXPECT_EQ(result.code, 0);

  // The comparison can fail: another loss is noticed.
  std::ofstream(directory / "batch.json") << nlohmann::json{{"samples", rows.samples},
                                                            {"sequence", rows.sequence},
                                                            {"tokens", rows.tokens},
                                                            {"targets", rows.targets},
                                                            {"loss", loss + 1e-3}};
  EXPECT(live::python("transformers_loss.py", directory.string()).code != 0);
}

constexpr auto tied = tiny::recipe(precision::fp32{})
                          .replace(model::deepseek_llm{.vocab = tiny::vocab,
                                                       .hidden = 32,
                                                       .layers = 3,
                                                       .heads = 4,
                                                       .kv_heads = 4,
                                                       .intermediate = 48,
                                                       .positions = 32,
                                                       .tied = true,
                                                       .rope_theta = 5000.0,
                                                       .norm_eps = 1e-5});

}  // namespace

TEST("live: transformers loads a checkpoint's weights and has our loss" * doctest::skip(live::off())) {
  SUBCASE("untied, grouped queries") { transformers_agrees<tiny::fp32>(); }
  SUBCASE("tied, other theta and epsilon") { transformers_agrees<tied>(); }
}
