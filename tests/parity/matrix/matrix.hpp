#pragma once
#include "parity/parity.hpp"
#include "tenon/deploy/export_run.hpp"

/// The whole product of query compression, groups, a dense first block, tied heads and rotary scaling, for V2 and V3, and of
/// the dense model's choices. Each model is compared as in tests/parity, then written as `./tenon export` writes it, and
/// transformers loads that.
namespace matrix {

namespace tn = tenon;

/// DIR/config.json and DIR/model.safetensors of a model with the weights of a rig.
template <class Policy>
void write_model(std::filesystem::path const& directory, Policy const& policy,
                 std::vector<tn::nn::parameter_place> const& places, float const* weights) {
  std::filesystem::create_directories(directory);
  std::vector<tn::checkpoint::tensor_view> tensors;
  for (auto const& p : places) tensors.push_back({p.name, tn::checkpoint::dtype::F32, p.shape(), weights + p.offset});
  tn::checkpoint::output_file<> file(directory / "model.safetensors");
  tn::checkpoint::write_safetensors(file, std::move(tensors));
  file.finish();
  tn::deploy::detail::write_json(directory / "config.json",
                                 tn::deploy::config_json(policy, "float32", nlohmann::json::object()));
}

/// Fields that all three kinds have.
template <class Policy>
Policy shared_fields(Policy m, bool tied, std::string const& rope) {
  m.vocab = 48, m.hidden = 32, m.layers = 2, m.heads = 4, m.intermediate = 40, m.positions = 128, m.tied = tied;
  m.norm_eps = 1e-5, m.rope_scaling = parity::scaling(rope);
  return m;
}
template <class Policy>
Policy expert_policy(int rank, int groups, int dense, bool tied, std::string const& rope, double scale) {
  auto m = shared_fields(Policy{}, tied, rope);
  m.query_rank = rank, m.latent_rank = 16, m.nope_dim = 8, m.rope_dim = 8, m.value_dim = 12, m.dense_layers = dense;
  m.experts = 8, m.chosen = 3, m.shared = 1, m.expert_intermediate = 12, m.groups = groups;
  m.chosen_groups = groups == 1 ? 1 : 2, m.routed_scale = scale;
  return m;
}

template <class Model, class Policy>
void agrees(std::string const& name, std::string const& rope, Policy const& policy) {
  parity::agrees<Model>("parity_" + name, rope, [&](auto const& rig) {
    write_model(parity::directory() / name, policy, tn::exec::parameter_places<Model>(), rig.store().master());
  });
}
inline void exported_are_loaded(std::string const& prefix) {
  auto const result = live::python("../golden/parity.py", parity::directory().string(), std::string("exported"), prefix);
  DOCTEST_INFO(result.output);
  std::printf("%s", result.output.c_str());
  EXPECT_EQ(result.code, 0);
}

/// `Kind<Score>`: a model type of V2 or V3 for a factor of the scores.
template <class Policy, int Rank, int Groups, int Dense, bool Tied, template <std::uint32_t> class Kind>
void each_rope(std::string const& kind, double scale) {
  auto const of = [&](std::string const& rope) {
    return kind + "_" + std::to_string(Rank) + "_" + std::to_string(Groups) + "_" + std::to_string(Dense) + "_" +
           std::to_string(int(Tied)) + "_" + rope;
  };
  for (std::string const rope : {"none", "llama3"})
    agrees<Kind<parity::plain_score>>(of(rope), rope, expert_policy<Policy>(Rank, Groups, Dense, Tied, rope, scale));
  agrees<Kind<parity::yarn_score>>(of("yarn"), "yarn", expert_policy<Policy>(Rank, Groups, Dense, Tied, "yarn", scale));
}

}  // namespace matrix
