#pragma once
#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tenon/checkpoint/weight_files.hpp"
#include "tenon/core/fixed.hpp"
#include "tenon/deploy/families.hpp"
#include "tenon/recipe/fields.hpp"

/// config.json as a model policy, compared with another, and written again.
namespace tenon::deploy {

/// How a model's weights lie in its files.
struct weight_facts {
  std::optional<std::array<std::int64_t, 2>> fp8_block;  ///< rows and columns of the blocks that share a scale
  std::int64_t layers = 0;                               ///< of the decoder
  std::int64_t further_layers = 0;                       ///< behind them, of multi-token prediction; at most so many

  std::int64_t head_dim = 0, turned = 0;  ///< of latent attention, where rotated rows lie as halves; else 0

  void tell(checkpoint::weight_files& files) const {
    if (turned > 0) files.rotated_halves(head_dim, turned);
    if (fp8_block) files.set_block((*fp8_block)[0], (*fp8_block)[1]);
    files.further_layers(layers, further_layers);
  }
};

/// The model without its modules of multi-token prediction, which nothing but training uses.
template <class Model>
Model without_modules(Model m) {
  if constexpr (requires { m.mtp_modules; }) m.mtp_modules = 0;
  return m;
}
/// The model with as many of them as DIR's weights hold; without, where there are no weights.
template <class Model>
Model with_modules(Model m, std::filesystem::path const& directory, weight_facts const& facts) {
  if constexpr (requires { m.mtp_modules; }) {
    bool const any = std::filesystem::exists(directory / "model.safetensors") ||
                     std::filesystem::exists(directory / "model.safetensors.index.json");
    if (facts.further_layers == 0 || !any) return m;
    checkpoint::weight_files const files(directory);
    int n = 0;
    while (n < facts.further_layers &&
           files.contains("model.layers." + std::to_string(facts.layers + n) + ".eh_proj.weight"))
      ++n;
    m.mtp_modules = n;
  }
  return m;
}

/// What a config.json says.
template <class Model>
struct model_config {
  Model model;
  weight_facts weights;
};

/// The `quantization_config` of fp8 weights with block scales; nothing where weights are plain. Throws for every other
/// quantization.
inline std::optional<std::array<std::int64_t, 2>> read_quantization(config_reader& in) {
  auto const q = in.value("quantization_config");
  if (q.is_null()) return std::nullopt;
  if (!q.is_object() || q.value("quant_method", nlohmann::json()) != "fp8")
    in.refuse("quantization_config",
              "is " + q.dump().substr(0, 120) +
                  "; tenon reads plain weights and fp8 ones with block scales (quant_method fp8)");
  auto const block = q.value("weight_block_size", nlohmann::json({128, 128}));
  if (!block.is_array() || block.size() != 2 || !block[0].is_number_integer() || !block[1].is_number_integer() ||
      block[0] < 1 || block[1] < 1)
    in.refuse("quantization_config.weight_block_size", "is " + block.dump() + ", not two counts");
  return std::array{block[0].get<std::int64_t>(), block[1].get<std::int64_t>()};
}

/// The config.json of a known family as `Model`. Throws tenon::error naming the key for what `Model` cannot say.
template <class Model>
model_config<Model> parse_config(nlohmann::json json, std::string const& where) {
  config_reader in(std::move(json), where);
  auto const type = in.text_or("model_type", "");
  if (type != family<Model>::model_type)
    throw error("'" + where + "' is of model_type '" + type + "' and " + std::string(Model::kind) + " is '" +
                std::string(family<Model>::model_type) + "'; it is another model");
  auto const architectures = in.value("architectures");
  std::string const mine(family<Model>::architecture);
  if (!architectures.is_null() && architectures != nlohmann::json{mine})
    in.refuse("architectures", "is " + architectures.dump() + "; tenon has the language model " + mine + " only");
  model_config<Model> out{family<Model>::read(in), {.fp8_block = read_quantization(in)}};
  out.weights.layers = out.model.layers;
  if constexpr (requires { family<Model>::further_layers(in); })
    out.weights.further_layers = family<Model>::further_layers(in);
  if constexpr (requires { family<Model>::rotates_halves(in); })
    if (family<Model>::rotates_halves(in)) {
      out.weights.turned = out.model.rope_dim;
      out.weights.head_dim = out.model.nope_dim + out.model.rope_dim;
    }
  in.finish();
  return out;
}

/// Calls f(model_config<Model>) with the policy of the family that the config.json names. Throws tenon::error where
/// there is none.
template <class F>
auto with_config(nlohmann::json const& json, std::string const& where, F f) {
  auto const type = json.value("model_type", nlohmann::json());
  auto const pick = [&]<class First, class... Rest>(auto self, std::tuple<First, Rest...>*) {
    if (type == std::string(family<First>::model_type)) return f(parse_config<First>(json, where));
    if constexpr (sizeof...(Rest) > 0)
      return self(self, static_cast<std::tuple<Rest...>*>(nullptr));
    else
      throw error("'" + where + "' is of model_type " + type.dump() + ", and tenon has " + [] {
        std::string names;
        std::apply(
            [&](auto... m) {
              ((names += std::string(names.empty() ? "" : ", ") + std::string(family<decltype(m)>::model_type)), ...);
            },
            families{});
        return names;
      }() + "; it cannot be imported");
  };
  return pick(pick, static_cast<families*>(nullptr));
}

/// The fixed fields that differ between two models, as "hidden is 64 there and 32 here".
template <class Model>
std::vector<std::string> differing_fields(Model const& there, Model const& here) {
  std::vector<std::string> values, different;
  auto const each = [](Model const& m, auto f) {
    auto visit = [&](std::string const& path, auto const& member) {
      using traits = field_traits<std::remove_cvref_t<decltype(member)>>;
      typename traits::value_type const value = member;
      if (traits::classification == field_class::fixed) f(path.substr(1), to_text(value));
    };
    auto const plain = family<Model>::resolved(m);
    fields::walk("", plain, visit);
  };
  each(there, [&](std::string const&, std::string const& v) { values.push_back(v); });
  std::size_t i = 0;
  each(here, [&](std::string const& name, std::string const& v) {
    if (values[i] != v) different.push_back("model." + name + " is " + values[i] + " there and " + v + " here");
    ++i;
  });
  return different;
}

/// Compares every compiled-in field of `mine` with DIR/config.json, before a byte of the weights is read. Returns how
/// the weights are stored; nothing where DIR has no config.json (a checkpoint of tenon). Throws tenon::error that names
/// all fields that differ. Modules of multi-token prediction are no matter of the config: `mine` has as many as it likes.
template <class Model>
std::optional<model_config<Model>> require_same_model(std::filesystem::path const& directory, Model const& mine) {
  auto const file = directory / "config.json";
  if (!std::filesystem::exists(file)) return std::nullopt;
  auto found = parse_config<Model>(read_json_object(file), file.string());
  if constexpr (requires { mine.mtp_modules; }) {
    found.model.mtp_modules = mine.mtp_modules;
    found.weights.further_layers = std::max<std::int64_t>(found.weights.further_layers, mine.mtp_modules);
  }
  auto const different = differing_fields(found.model, mine);
  if (different.empty()) return found;
  std::string all;
  for (auto const& d : different) all += (all.empty() ? "" : ", ") + d;
  throw error("'" + file.string() + "' describes another model than this recipe: " + all + "; './tenon import " +
              directory.string() + " --out NAME.hpp' writes the recipe of that model");
}

/// config.json of a model with weights of `dtype` ("float32", "bfloat16" or "float16"). `special_ids` may hold
/// bos_token_id, eos_token_id and pad_token_id; what it lacks is written as null.
template <class Model>
nlohmann::ordered_json config_json(Model const& m, std::string const& dtype, nlohmann::json const& special_ids) {
  nlohmann::ordered_json out{{"architectures", {std::string(family<Model>::architecture)}},
                             {"model_type", std::string(family<Model>::model_type)}};
  out.update(family<Model>::write(m));
  out["dtype"] = dtype, out["torch_dtype"] = dtype, out["use_cache"] = true;
  for (char const* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    out[key] = special_ids.contains(key) ? nlohmann::ordered_json(special_ids[key]) : nlohmann::ordered_json(nullptr);
  return out;
}

}  // namespace tenon::deploy
