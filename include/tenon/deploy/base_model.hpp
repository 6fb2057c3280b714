#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tenon/checkpoint/manifest.hpp"
#include "tenon/checkpoint/weight_files.hpp"
#include "tenon/core/sha256.hpp"
#include "tenon/deploy/model_config.hpp"

/// Runs that train a part of a model and keep the rest where it is: the model that they were begun with, their base.
namespace tenon::deploy {

/// The base of a run: where it was, and the SHA-256 of its weight files. Checkpoints keep both.
struct base_model {
  std::string directory, sha256;
};

/// SHA-256 (hexadecimal) over names and bytes of the weight files of a directory, in the order of their names.
inline std::string weights_digest(std::filesystem::path const& directory) {
  std::set<std::string> names;
  for (auto const& e : std::filesystem::directory_iterator(directory)) {
    auto const name = e.path().filename().string();
    if (name.ends_with(".safetensors")) names.insert(name);
  }
  sha256 all;
  std::vector<char> room(1 << 20);
  for (auto const& name : names) {
    std::ifstream in(directory / name, std::ios::binary);
    if (!in) throw error("cannot read '" + (directory / name).string() + "'");
    all.update(name.data(), name.size() + 1);
    while (in.read(room.data(), std::streamsize(room.size())), in.gcount() > 0)
      all.update(room.data(), std::size_t(in.gcount()));
  }
  return all.hex();
}

/// The base that a checkpoint names; nothing where the run keeps none.
inline std::optional<base_model> base_of(checkpoint::manifest const& m) {
  auto const found = m.recipe.find("base");
  if (found == m.recipe.end()) return std::nullopt;
  return base_model{found->at("directory").get<std::string>(), found->at("sha256").get<std::string>()};
}
inline nlohmann::json base_json(base_model const& b) { return {{"directory", b.directory}, {"sha256", b.sha256}}; }

/// Throws tenon::error where a base is gone, or its weights are not those that a run was begun with.
inline void require_there(std::filesystem::path const& directory) {
  if (!std::filesystem::exists(directory))
    throw error("the model '" + directory.string() +
                "' is gone, whose weights this run left as they were; put it back, or say where it is (--init DIR of a "
                "trainer, --base DIR of generate and export)");
}
inline void require_same_base(base_model const& before, base_model const& now) {
  if (before.sha256 != now.sha256)
    throw error(
        "the weights in '" + now.directory + "' (SHA-256 " + now.sha256.substr(0, 12) +
        "...) are not those that this run was begun with (" + before.sha256.substr(0, 12) +
        "...), so what it has learnt does not belong to them; restore them, or say where they are (--init DIR of a "
        "trainer, --base DIR of generate and export)");
}

/// The factor of a run's adapters; nothing where it has none.
inline std::optional<double> adapter_scale_of(checkpoint::manifest const& m) {
  auto const& t = m.recipe.at("values").at("trainable");
  if (t.at("kind") != "lora") return std::nullopt;
  auto const number = [&](char const* field) {
    auto const& v = t.at(field);
    return v.is_string() ? std::stod(v.get<std::string>()) : v.get<double>();
  };
  return number("alpha") / number("rank");
}

/// The weights of a checkpoint as those of a whole model: its own where it holds them, else its base's; an adapted
/// matrix W is W + scale B A. Everything is read in fp32.
class whole_weights {
 public:
  /// `files`: the directory that holds the checkpoint's or the model's weights. Throws tenon::error where the base is
  /// not what it was.
  whole_weights(std::filesystem::path const& files, std::optional<checkpoint::manifest> const& m,
                std::optional<std::filesystem::path> const& base_at = {})
      : base_(m ? base_of(*m) : std::nullopt), own_(files) {
    if (!base_) return;
    auto const directory = base_at ? *base_at : std::filesystem::path(base_->directory);
    require_there(directory);
    require_same_base(*base_, {directory.string(), weights_digest(directory)});
    under_.emplace(directory);
    if (auto const scale = adapter_scale_of(*m)) scale_ = float(*scale);
  }

  bool has_base() const { return base_.has_value(); }
  base_model const& base() const { return *base_; }
  /// The files that hold most of it: those that a model's config.json describes.
  checkpoint::weight_files& files() { return under_ ? *under_ : own_; }
  checkpoint::weight_files& own() { return own_; }

  /// Errors: those of weight_files::read.
  void read(std::string const& name, std::vector<std::int64_t> const& shape, float* to) {
    if (!under_) return own_.read(name, shape, to);
    under_->read(name, shape, to);
    if (own_.contains(name)) return own_.read(name, shape, to);
    auto const stem = name.ends_with(".weight") ? name.substr(0, name.size() - 6) : name;
    if (own_.contains(stem + "lora_A.weight")) add_adapter(stem, shape, to);
  }
  /// Throws tenon::error where something was not read.
  void finish() const {
    own_.finish();
    if (under_) under_->finish();
  }

 private:
  void add_adapter(std::string const& stem, std::vector<std::int64_t> const& shape, float* to) {
    auto const a_shape = own_.shape_of(stem + "lora_A.weight"), b_shape = own_.shape_of(stem + "lora_B.weight");
    if (shape.size() != 2 || a_shape.size() != 2 || a_shape[1] != shape[1] ||
        b_shape != std::vector<std::int64_t>{shape[0], a_shape[0]})
      throw error("the adapter '" + stem + "lora_A' does not fit its matrix; the checkpoint is damaged");
    auto const low = a_shape[0];
    std::vector<float> a(std::size_t(low * shape[1])), b(std::size_t(shape[0] * low));
    own_.read(stem + "lora_A.weight", a_shape, a.data()), own_.read(stem + "lora_B.weight", b_shape, b.data());
    for (std::int64_t i = 0; i < shape[0]; ++i)
      for (std::int64_t k = 0; k < low; ++k) {
        float const f = scale_ * b[std::size_t(i * low + k)];
        for (std::int64_t j = 0; j < shape[1]; ++j) to[i * shape[1] + j] += f * a[std::size_t(k * shape[1] + j)];
      }
  }

  std::optional<base_model> base_;
  checkpoint::weight_files own_;
  std::optional<checkpoint::weight_files> under_;
  float scale_ = 1;
};

}  // namespace tenon::deploy
