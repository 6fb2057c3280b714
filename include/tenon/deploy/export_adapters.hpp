#pragma once
#include <cmath>
#include <memory>
#include <set>

#include "tenon/deploy/export_run.hpp"

namespace tenon::deploy {

/// Writes OUT/{adapter_config.json, adapter_model.safetensors} as PEFT (Hugging Face) names and lays them out, and the
/// tokenizer's files beside them: what a run with trainable::lora has learnt, without its base. OUT must not exist; it
/// appears complete or not at all. Throws io_error, or tenon::error saying what is missing.
inline exported export_adapters(export_options const& o) {
  namespace fs = std::filesystem;
  if (fs::exists(o.out)) throw error("'" + o.out.string() + "' exists already; name a directory that does not");
  auto const found = checkpoint_of(o.run, o.step);
  auto const scale = adapter_scale_of(found.contents);
  auto const base = base_of(found.contents);
  if (!scale || !base) throw error("'" + o.run.string() + "' has no adapters; export its model with --merge");
  checkpoint::safetensors_file const weights(found.directory / "model.safetensors");

  std::vector<std::unique_ptr<std::vector<std::byte>>> rounded;
  std::vector<checkpoint::tensor_view> tensors;
  std::set<std::string> modules;
  std::int64_t rank = 0;
  exported result{found.contents.step, 0, {}};
  for (auto const& [name, t] : weights.tensors()) {
    auto const mark = name.rfind(".lora_");
    if (mark == name.npos) continue;  // a router's bias, which is state of the base
    auto const module = name.substr(0, mark);
    modules.insert(module.substr(module.rfind('.') + 1));
    if (name.ends_with("lora_A.weight")) rank = t.shape[0];
    auto const bytes = *checkpoint::bytes_of(o.type, t.shape);
    auto const count = bytes / checkpoint::size_of(o.type);
    auto& to = *rounded.emplace_back(std::make_unique<std::vector<std::byte>>(bytes));
    std::vector<float> values(count);
    std::memcpy(values.data(), t.bytes.data(), count * 4);
    if (o.type == checkpoint::dtype::F32)
      std::memcpy(to.data(), values.data(), bytes);
    else
      checkpoint::from_floats(values.data(), std::int64_t(count), o.type, to.data());
    tensors.push_back({"base_model.model." + name, o.type, t.shape, to.data()});
    result.parameters += std::int64_t(count);
  }
  double const alpha = *scale * double(rank);
  bool const whole = std::abs(alpha - std::round(alpha)) < 1e-9;
  nlohmann::ordered_json const config = {
      {"peft_type", "LORA"},
      {"task_type", "CAUSAL_LM"},
      {"base_model_name_or_path", o.base ? o.base->string() : base->directory},
      {"r", rank},
      {"lora_alpha", whole ? nlohmann::ordered_json(std::llround(alpha)) : nlohmann::ordered_json(alpha)},
      {"lora_dropout", 0.0},
      {"target_modules", modules},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"init_lora_weights", true},
      {"modules_to_save", nullptr},
      {"inference_mode", true}};

  auto part = o.out;
  part += ".part";
  fs::remove_all(part);
  std::error_code code;
  fs::create_directories(part, code);
  if (code) throw error("could not make '" + part.string() + "': " + code.message());
  try {
    checkpoint::output_file<> sink(part / "adapter_model.safetensors");
    checkpoint::write_safetensors(sink, std::move(tensors));
    sink.finish();
    detail::write_json(part / "adapter_config.json", config);
    result.files = {"adapter_model.safetensors", "adapter_config.json"};
    copy_side_files(o.run, part);
    auto const origin = read_origin(o.run);
    data::save_tokenizer(data::load_tokenizer(o.run / "tokenizer.json", origin ? origin->end_of_text : ""),
                         part / "tokenizer.json");
    for (auto const name : side_files)
      if (fs::exists(part / name)) result.files.emplace_back(name);
    result.files.emplace_back("tokenizer.json");
    checkpoint::sync_directory(part);
    fs::rename(part, o.out);
  } catch (...) {
    fs::remove_all(part, code);
    throw;
  }
  return result;
}

}  // namespace tenon::deploy
