#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <tuple>

#include "tenon/deploy/config_reader.hpp"
#include "tenon/recipe/model.hpp"

/// How a model policy is written in a config.json. An architecture plugs in with one specialisation of `family` and its
/// place in `families`; reading, comparing, the recipe of an import and export follow from them.
namespace tenon::deploy {

/// For a model policy: `model_type` and `architecture` as transformers names them; `read` fills the policy from a
/// config.json and throws for what the policy cannot say; `write` gives the keys of the policy; `resolved` writes out
/// what the policy leaves to a default that depends on other fields, so that equal models have equal fields.
template <class Model>
struct family;

/// Rotary base and scaling, from either dialect: `rope_parameters` (transformers 5), `rope_theta` and `rope_scaling`; where
/// both are there, as in what tenon exports, they must agree.
struct rope_config {
  double theta = 10000.0;
  nlohmann::json scaling;  ///< null, or the object with `rope_type` (older files: `type`)
};
inline rope_config read_rope(config_reader& in) {
  rope_config rope;
  auto const parameters = in.value("rope_parameters");
  rope.theta = in.number_or("rope_theta", rope.theta);
  auto const named = [](nlohmann::json scaling) {  // older files: `type`
    if (scaling.is_object() && scaling.contains("type")) {
      if (!scaling.contains("rope_type")) scaling["rope_type"] = scaling["type"];
      scaling.erase("type");
    }
    return scaling;
  };
  rope.scaling = named(in.value("rope_scaling"));
  if (!parameters.is_null()) {
    if (!parameters.is_object()) in.refuse("rope_parameters", "is not an object");
    if (parameters.contains("rope_theta")) {
      if (!parameters["rope_theta"].is_number()) in.refuse("rope_parameters.rope_theta", "is not a number");
      rope.theta = parameters["rope_theta"].get<double>();
    }
    auto own = named(parameters);
    own.erase("rope_theta");
    if (!rope.scaling.is_null() && rope.scaling != own)
      in.refuse("rope_parameters", "and rope_scaling say different things: " + own.dump() + " and " + rope.scaling.dump());
    rope.scaling = own;
  }
  if (!rope.scaling.is_null()) {
    if (!rope.scaling.is_object()) in.refuse("rope_scaling", "is not an object");
    auto const type = rope.scaling.value("rope_type", nlohmann::json("default"));
    if (!type.is_string()) in.refuse("rope_scaling.rope_type", "is not a text");
    if (type == "default") {
      rope.scaling.erase("rope_type");
      if (!rope.scaling.empty())
        in.refuse("rope_scaling", "is of type default and yet has other keys: " + rope.scaling.dump());
      rope.scaling = nullptr;
    }
  }
  return rope;
}
/// Both dialects, so that older and newer readers find what they know.
inline void write_rope(nlohmann::ordered_json& out, rope_config const& rope) {
  nlohmann::ordered_json parameters =
      rope.scaling.is_null() ? nlohmann::ordered_json{{"rope_type", "default"}} : nlohmann::ordered_json(rope.scaling);
  parameters["rope_theta"] = rope.theta;
  out["rope_theta"] = rope.theta;
  out["rope_scaling"] = nlohmann::ordered_json(rope.scaling);
  out["rope_parameters"] = parameters;
}

/// The scaling of a policy, out of the object that read_rope gives.
inline model::rope_scaling scaling_from(config_reader& in, nlohmann::json rest) {
  model::rope_scaling s;
  if (rest.is_null()) return s;
  auto const type = rest.value("rope_type", std::string());
  if (type != "linear" && type != "llama3" && type != "yarn")
    in.refuse("rope_scaling", "is " + rest.dump() + ", which is not supported; tenon has linear, llama3 and yarn");
  s.type = type == "linear"   ? model::rope_type::linear
           : type == "llama3" ? model::rope_type::llama3
                              : model::rope_type::yarn;
  rest.erase("rope_type");
  auto const take = [&](char const* key, auto& field) {
    if (!rest.contains(key)) return;
    if (!rest[key].is_null()) {
      if (!rest[key].is_number() && !rest[key].is_boolean())
        in.refuse("rope_scaling", std::string(key) + " is no number");
      field = rest[key].get<std::remove_cvref_t<decltype(field.get())>>();
    }
    rest.erase(key);
  };
  take("factor", s.factor), take("original_max_position_embeddings", s.original);
  take("low_freq_factor", s.low_freq_factor), take("high_freq_factor", s.high_freq_factor);
  take("beta_fast", s.beta_fast), take("beta_slow", s.beta_slow), take("mscale", s.mscale);
  take("mscale_all_dim", s.mscale_all_dim), take("attention_factor", s.attention_factor), take("truncate", s.truncate);
  if (!rest.empty()) in.refuse("rope_scaling", "has keys that tenon does not know: " + rest.dump());
  return s;
}
/// The keys of a scaling; null where there is none.
inline nlohmann::json scaling_to(model::rope_scaling const& s) {
  if (s.type == model::rope_type::none) return nullptr;
  nlohmann::json out{{"factor", s.factor.get()}};
  if (s.type == model::rope_type::linear) {
    out["rope_type"] = "linear";
    return out;
  }
  out["original_max_position_embeddings"] = s.original.get();
  if (s.type == model::rope_type::llama3) {
    out["rope_type"] = "llama3";
    out["low_freq_factor"] = s.low_freq_factor.get(), out["high_freq_factor"] = s.high_freq_factor.get();
    return out;
  }
  out["rope_type"] = "yarn", out["beta_fast"] = s.beta_fast.get(), out["beta_slow"] = s.beta_slow.get();
  if (s.mscale != 0) out["mscale"] = s.mscale.get();
  if (s.mscale_all_dim != 0) out["mscale_all_dim"] = s.mscale_all_dim.get();
  if (s.attention_factor != 0) out["attention_factor"] = s.attention_factor.get();
  if (!s.truncate) out["truncate"] = false;
  return out;
}

/// Keys that every decoder of this family has.
template <class Model>
void read_common(config_reader& in, Model& m) {
  m.vocab = in.count("vocab_size"), m.hidden = in.count("hidden_size"), m.layers = in.count("num_hidden_layers");
  m.heads = in.count("num_attention_heads"), m.intermediate = in.count("intermediate_size");
  m.positions = in.count("max_position_embeddings");
  m.tied = in.flag_or("tie_word_embeddings", false);
  m.norm_eps = in.number_or("rms_norm_eps", 1e-6);
  m.init_std = in.number_or("initializer_range", 0.02);
  in.must_be("hidden_act", "silu", "tenon computes SwiGLU with silu only");
  in.must_be("attention_bias", false, "tenon's projections have no biases");
  in.must_be("mlp_bias", false, "tenon's projections have no biases");
  in.must_be("attention_dropout", 0.0, "tenon has no dropout; set it to 0 to train without");
}
template <class Model>
void write_common(nlohmann::ordered_json& out, Model const& m) {
  out["vocab_size"] = m.vocab.get(), out["hidden_size"] = m.hidden.get(), out["num_hidden_layers"] = m.layers.get();
  out["num_attention_heads"] = m.heads.get(), out["intermediate_size"] = m.intermediate.get();
  out["max_position_embeddings"] = m.positions.get(), out["tie_word_embeddings"] = m.tied.get();
  out["rms_norm_eps"] = m.norm_eps.get(), out["initializer_range"] = m.init_std;
  out["hidden_act"] = "silu", out["attention_bias"] = false, out["attention_dropout"] = 0.0;
}

/// The dense decoder: llama's layout, as DeepSeek LLM and Coder have it.
template <>
struct family<model::deepseek_llm> {
  static constexpr std::string_view model_type = "llama", architecture = "LlamaForCausalLM";

  static model::deepseek_llm read(config_reader& in) {
    model::deepseek_llm m;
    read_common(in, m);
    m.kv_heads = in.count_or("num_key_value_heads", m.heads);
    auto const rope = read_rope(in);
    m.rope_theta = rope.theta;
    m.rope_scaling = scaling_from(in, rope.scaling);
    int const width = m.heads > 0 ? m.hidden / m.heads : 0;
    if (int const given = in.count_or("head_dim", width); given != width)
      in.refuse("head_dim", "is " + std::to_string(given) + "; tenon's heads are hidden_size / num_attention_heads = " +
                                std::to_string(width) + " wide");
    return m;
  }
  static nlohmann::ordered_json write(model::deepseek_llm const& m) {
    nlohmann::ordered_json out;
    write_common(out, m);
    out["num_key_value_heads"] = m.kv(), out["head_dim"] = m.head_dim(), out["mlp_bias"] = false;
    write_rope(out, {m.rope_theta, scaling_to(m.rope_scaling)});
    return out;
  }
  static model::deepseek_llm resolved(model::deepseek_llm m) {
    m.kv_heads = m.kv();
    return m;
  }
};

/// Whether `Model` can be written in a config.json.
template <class Model>
inline constexpr bool has_family = requires {
  family<Model>::model_type;
};

}  // namespace tenon::deploy
