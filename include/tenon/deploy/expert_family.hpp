#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tenon/deploy/model_family.hpp"
#include "tenon/recipe/expert_model.hpp"

namespace tenon::deploy {

/// Keys that V2 and V3 share beyond those of every decoder.
template <class Model>
void read_expert_decoder(config_reader& in, Model& m) {
  read_common(in, m);
  auto const rope = read_rope(in);
  m.rope_theta = rope.theta;
  m.rope_scaling = scaling_from(in, rope.scaling);
  m.query_rank = in.count_or("q_lora_rank", 0), m.latent_rank = in.count("kv_lora_rank");
  m.nope_dim = in.count("qk_nope_head_dim"), m.rope_dim = in.count("qk_rope_head_dim");
  m.value_dim = in.count("v_head_dim");
  m.dense_layers = in.count_or("first_k_dense_replace", 0);
  m.experts = in.count("n_routed_experts"), m.chosen = in.count("num_experts_per_tok");
  m.shared = in.count_or("n_shared_experts", 0), m.expert_intermediate = in.count("moe_intermediate_size");
  m.routed_scale = in.number_or("routed_scaling_factor", 1.0);
  in.must_be("moe_layer_freq", 1, "tenon has experts in every block behind the dense ones");
  if (auto const kv = in.count_or("num_key_value_heads", m.heads); kv != m.heads)
    in.refuse("num_key_value_heads", "is " + std::to_string(kv) + "; latent attention has as many as query heads");
  in.must_be("qk_head_dim", m.nope_dim + m.rope_dim, "it is the sum of qk_nope_head_dim and qk_rope_head_dim");
  // Derived in transformers, or about training and packaging only.
  in.ignore({"head_dim", "aux_loss_alpha", "seq_aux", "router_aux_loss_coef"});
}
template <class Model>
nlohmann::ordered_json write_expert_decoder(Model const& m) {
  nlohmann::ordered_json out;
  write_common(out, m);
  write_rope(out, {m.rope_theta, scaling_to(m.rope_scaling)});
  out["num_key_value_heads"] = m.heads.get(), out["moe_intermediate_size"] = m.expert_intermediate.get();
  out["q_lora_rank"] = m.query_rank == 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(m.query_rank.get());
  out["kv_lora_rank"] = m.latent_rank.get(), out["qk_nope_head_dim"] = m.nope_dim.get();
  out["qk_rope_head_dim"] = m.rope_dim.get(), out["v_head_dim"] = m.value_dim.get();
  out["qk_head_dim"] = m.nope_dim + m.rope_dim, out["head_dim"] = m.rope_dim.get();
  out["first_k_dense_replace"] = m.dense_layers.get(), out["moe_layer_freq"] = 1;
  out["n_routed_experts"] = m.experts.get(), out["num_experts_per_tok"] = m.chosen.get();
  out["n_shared_experts"] = m.shared.get(), out["routed_scaling_factor"] = m.routed_scale.get();
  return out;
}

/// DeepSeek-V2. The group-limited choice is a matter of `topk_method`; without it all experts are one group.
template <>
struct family<model::deepseek_v2> {
  static constexpr std::string_view model_type = "deepseek_v2", architecture = "DeepseekV2ForCausalLM";

  static model::deepseek_v2 read(config_reader& in) {
    model::deepseek_v2 m;
    read_expert_decoder(in, m);
    auto const method = in.text_or("topk_method", "greedy");
    int const groups = in.count_or("n_group", 1), chosen = in.count_or("topk_group", 1);
    if (method == "group_limited_greedy")
      m.groups = groups, m.chosen_groups = chosen;
    else if (method != "greedy")
      in.refuse("topk_method", "is '" + method + "'; DeepSeek-V2 has greedy and group_limited_greedy");
    in.must_be("scoring_func", "softmax", "DeepSeek-V2's gate is a softmax");
    in.must_be("norm_topk_prob", false, "DeepSeek-V2's weights are not normalised");
    return m;
  }
  static nlohmann::ordered_json write(model::deepseek_v2 const& m) {
    auto out = write_expert_decoder(m);
    bool const grouped = m.groups > 1;
    out["topk_method"] = grouped ? "group_limited_greedy" : "greedy";
    out["n_group"] = grouped ? nlohmann::ordered_json(m.groups.get()) : nlohmann::ordered_json();
    out["topk_group"] = grouped ? nlohmann::ordered_json(m.chosen_groups.get()) : nlohmann::ordered_json();
    out["scoring_func"] = "softmax", out["norm_topk_prob"] = false, out["mlp_bias"] = false;
    return out;
  }
  static model::deepseek_v2 resolved(model::deepseek_v2 m) { return m; }
};

/// DeepSeek-V3: the sigmoid gate with a bias that chooses.
template <>
struct family<model::deepseek_v3> {
  static constexpr std::string_view model_type = "deepseek_v3", architecture = "DeepseekV3ForCausalLM";

  static model::deepseek_v3 read(config_reader& in) {
    model::deepseek_v3 m;
    read_expert_decoder(in, m);
    m.groups = in.count_or("n_group", 1), m.chosen_groups = in.count_or("topk_group", 1);
    m.normalised = in.flag_or("norm_topk_prob", true);
    in.must_be("scoring_func", "sigmoid", "DeepSeek-V3's gate is a sigmoid");
    in.must_be("topk_method", "noaux_tc", "DeepSeek-V3 chooses by score and bias");
    return m;
  }
  static nlohmann::ordered_json write(model::deepseek_v3 const& m) {
    auto out = write_expert_decoder(m);
    out["n_group"] = m.groups.get(), out["topk_group"] = m.chosen_groups.get();
    out["norm_topk_prob"] = m.normalised.get(), out["scoring_func"] = "sigmoid", out["topk_method"] = "noaux_tc";
    out["rope_interleave"] = true, out["num_nextn_predict_layers"] = m.mtp_modules.get();
    return out;
  }
  static model::deepseek_v3 resolved(model::deepseek_v3 m) { return m; }
  /// Rotated channels may lie as halves in the files; tenon has them as neighbours, as DeepSeek's files do.
  static bool rotates_halves(config_reader& in) { return !in.flag_or("rope_interleave", true); }
  /// Modules of multi-token prediction that may be in the files. transformers writes one of them into every config.json and
  /// none into the weights, so `read` leaves `mtp_modules` at 0 and `with_modules` counts what is there.
  static int further_layers(config_reader& in) { return in.count_or("num_nextn_predict_layers", 0); }
};

}  // namespace tenon::deploy
