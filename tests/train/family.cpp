// Whole training runs against a loop over transformers' models with torch's AdamW (tests/golden/parity.py, train): each loss,
// each gradient norm, the balance losses and the router's bias.
#include "golden/golden.hpp"
#include "golden/hashed.hpp"
#include "support/test.hpp"
#include "tenon/deploy/export_run.hpp"
#include "train/tiny.hpp"

using namespace tenon;
using namespace tenon::literals;

namespace {

template <class Model>
constexpr auto with_model(Model m) {
  return recipe(m, target::cpu{.memory = 8_GiB}, precision::fp32{}, horizon{20_steps},
                batch{.sequence = 16_tokens, .global = 4_samples, .micro = 2_samples},
                optimizer::adamw{.weight_decay = 0.1, .clip = 1.0},
                schedule::warmup_cosine{.peak = 2e-3, .warmup = 5_steps, .floor = 0.1});
}
constexpr auto dense = tiny::fp32.edit([](auto& r) { r.schedule.peak = 2e-3; });
constexpr auto v2 = with_model(model::deepseek_v2{.vocab = 272,
                                                  .hidden = 32,
                                                  .layers = 2,
                                                  .heads = 4,
                                                  .query_rank = 24,
                                                  .latent_rank = 16,
                                                  .nope_dim = 8,
                                                  .rope_dim = 8,
                                                  .value_dim = 12,
                                                  .intermediate = 48,
                                                  .dense_layers = 0,
                                                  .experts = 8,
                                                  .chosen = 2,
                                                  .expert_intermediate = 12,
                                                  .groups = 4,
                                                  .chosen_groups = 2,
                                                  .positions = 32});
constexpr auto v3 = with_model(model::deepseek_v3{.vocab = 272,
                                                  .hidden = 32,
                                                  .layers = 2,
                                                  .heads = 4,
                                                  .query_rank = 24,
                                                  .latent_rank = 16,
                                                  .nope_dim = 8,
                                                  .rope_dim = 8,
                                                  .value_dim = 12,
                                                  .intermediate = 48,
                                                  .dense_layers = 1,
                                                  .experts = 8,
                                                  .chosen = 2,
                                                  .expert_intermediate = 12,
                                                  .groups = 4,
                                                  .chosen_groups = 2,
                                                  .positions = 32,
                                                  .bias_rate = 0.01,
                                                  .sequence_balance = 0.01,
                                                  .mtp_modules = 1});

/// The batch of a step: each token decides the next; an eighth of the rows has no target.
data::micro_batch batch_of(std::int64_t step, data::cursor const& at) {
  data::micro_batch b;
  b.at = b.next = at;
  b.next.sample += 4;
  b.samples = 4, b.sequence = 16;
  for (std::uint64_t i = 0; i < 64; ++i) {
    auto const token = hashed::mixed("batch", i, std::uint64_t(step)) % 32;
    bool const masked = hashed::mixed("mask", i, std::uint64_t(step)) % 8 == 0;
    b.tokens.push_back(token), b.targets.push_back(masked ? -1 : (token * 5 + 1) % 32);
    b.positions.push_back(std::int32_t(i % 16)), b.document_start.push_back(0);
    b.num_targets += !masked;
  }
  return b;
}

template <auto const& R>
void follows(std::string const& name) {
  golden const file(name);
  auto const loss = file.reals("loss"), norm = file.reals("norm"), balance = file.reals("balance"),
             further = file.reals("further");
  train::trainer<R> t(R, 2, steps{std::int64_t(loss.size())});
  for (auto const& p : t.engine().places())
    for (std::int64_t i = 0; i < p.size(); ++i) {
      float const v = hashed::value(p.name, std::uint64_t(i), 1);
      t.engine().master()[p.offset + i] = p.parameter_role == nn::role::norm ? 1 + (v - 1) * 0.25f : v * 0.25f;
    }
  t.engine().refresh_copy();
  double worst = 0;
  for (std::size_t i = 0; i < loss.size(); ++i) {
    auto const report = train::step(t, batch_of(std::int64_t(i), t.progress().cursor));
    DOCTEST_INFO("step " << i + 1 << ": loss " << report.loss << " for " << loss[i] << ", norm " << report.gradient_norm
                         << " for " << norm[i] << ", balance " << report.balance << " for " << balance[i]);
    worst = std::max(worst, std::abs(report.loss - loss[i]));
    EXPECT_NEAR(report.loss, loss[i], 1e-4);
    EXPECT_NEAR(report.gradient_norm, norm[i], 1e-3 * norm[i]);
    EXPECT_NEAR(report.balance, balance[i], 1e-4 * balance[i]);
    EXPECT_NEAR(report.further, further[i], 1e-4);
  }
  DOCTEST_INFO("worst difference of a loss " << worst);
  EXPECT(loss.front() - loss.back() > 1);  // something was learnt
  int biases = 0;
  for (auto const& p : t.engine().places()) {
    if (p.parameter_role != nn::role::router_bias) continue;
    auto const want = file.floats("bias/" + p.name);
    for (std::int64_t i = 0; i < p.size(); ++i) EXPECT_NEAR(t.engine().master()[p.offset + i], want[std::size_t(i)], 1e-6);
    ++biases;
  }
  constexpr bool biased = requires { R.model.bias_rule; };
  EXPECT_EQ(biases, biased ? 2 : 0);
}

}  // namespace

TEST("200 steps of the dense model follow transformers and torch's AdamW: each loss within 1e-4") {
  follows<dense>("train_dense");
}
TEST("20 steps of DeepSeek-V2 with its three balance losses") { follows<v2>("train_v2"); }
TEST("20 steps of DeepSeek-V3: multi-token prediction, sequence-wise balance, the routers' bias moved once a step") {
  follows<v3>("train_v3");
}

TEST("the router's bias is in the checkpoint: a resumed run of V3 goes on with the same bits") {
  train::trainer<v3> a(v3, 2, 20_steps);
  for (std::int64_t i = 0; i < 3; ++i) train::step(a, batch_of(i, a.progress().cursor));
  tiny::directory const run;
  auto const directory = tiny::saved(run.path, a);
  train::trainer<v3> b(v3, 2, 20_steps);
  train::load_state(directory, b);
  for (std::int64_t i = 3; i < 6; ++i)
    EXPECT_EQ(train::step(a, batch_of(i, a.progress().cursor)).loss, train::step(b, batch_of(i, b.progress().cursor)).loss);
  EXPECT((tiny::state_of(a) == tiny::state_of(b)));
  bool moved = false;
  for (auto const& p : a.engine().places())
    if (p.parameter_role == nn::role::router_bias)
      for (std::int64_t i = 0; i < p.size(); ++i) moved = moved || a.engine().master()[p.offset + i] != 0;
  EXPECT(moved);
}

TEST("what a run of V3 writes for others is read back: experts one by one, biases, modules and what they repeat") {
  train::trainer<v3> a(v3, 2, 20_steps), b(v3, 2, 20_steps);
  for (std::int64_t i = 0; i < 3; ++i) train::step(a, batch_of(i, a.progress().cursor));
  tiny::directory const run, out;
  deploy::whole_weights weights(tiny::saved(run.path, a), std::nullopt);
  auto list = weights.files().weights();
  auto const own = list.size();
  std::map<std::string, std::string> repeated;
  for (auto const& [name, original] : deploy::detail::repeated_tensors(v3.model)) {
    repeated[name] = original;
    list.emplace_back(name, weights.files().shape_of(original));
  }
  auto const all = deploy::detail::shards(list, checkpoint::dtype::F32, std::uint64_t{1} << 40);
  REQUIRE(all.size() == 1);
  EXPECT_EQ(all[0].size(), own + 2);
  deploy::detail::write_shard(out.path / "model.safetensors", all[0], weights, repeated);
  deploy::detail::write_json(out.path / "config.json", deploy::config_json(v3.model, "float32", nlohmann::json::object()));

  auto const plain = deploy::parse_config<model::deepseek_v3>(deploy::read_json_object(out.path / "config.json"), "c");
  EXPECT_EQ(plain.model.mtp_modules.get(), 0);
  auto const counted = deploy::with_modules(plain.model, out.path, plain.weights);
  EXPECT(deploy::differing_fields(counted, v3.model).empty());
  auto const found = deploy::require_same_model(out.path, v3.model);
  REQUIRE(found.has_value());
  checkpoint::weight_files files(out.path);
  found->weights.tell(files);
  train::load_weights(files, b);
  EXPECT_EQ(files.num_left_out(), 0);
  for (auto const& p : a.engine().places())
    EXPECT_EQ(std::memcmp(a.engine().master() + p.offset, b.engine().master() + p.offset, std::size_t(p.size()) * 4), 0);
}
