#pragma once
#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/checkpoint/directory.hpp"
#include "tenon/checkpoint/safetensors.hpp"
#include "tenon/checkpoint/weight_values.hpp"

namespace tenon::checkpoint {

/// "[2, 3]".
inline std::string shape_text(std::vector<std::int64_t> const& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/// The weights in a directory as Hugging Face writes it: `model.safetensors`, or the files that
/// `model.safetensors.index.json` names. Files are mapped and checked when it is made; what is read is converted to
/// fp32. Weights in fp8 (`X`) are multiplied by the block scales beside them (`X_scale_inv`, fp32).
class weight_files {
 public:
  /// Throws io_error, or tenon::error naming the file: one that breaks a rule of safetensors, an index that does not
  /// agree with its files, no weights at all.
  explicit weight_files(path directory) : directory_(std::move(directory)) {
    path const whole = directory_ / "model.safetensors", index = directory_ / "model.safetensors.index.json";
    if (std::filesystem::exists(whole)) {
      add_file(whole.filename().string());
    } else if (std::filesystem::exists(index)) {
      add_index(index);
    } else {
      bool const pickled = std::filesystem::exists(directory_ / "pytorch_model.bin") ||
                           std::filesystem::exists(directory_ / "pytorch_model.bin.index.json");
      throw error("'" + directory_.string() + "' has neither model.safetensors nor model.safetensors.index.json" +
                  (pickled ? "; its weights are pickled (.bin), which runs code when read: save them as safetensors"
                           : "; give a directory that a model was saved to"));
    }
  }

  path const& directory() const { return directory_; }
  /// Side lengths of the blocks of fp8 weights that share a scale: `weight_block_size` of config.json.
  void set_block(std::int64_t rows, std::int64_t cols) { block_rows_ = rows, block_cols_ = cols; }
  /// Layers `model.layers.I` with I in [first, first + count), which a model file has beside the decoder's own for
  /// multi-token prediction: each may be there and stay unread, or not be there (`starts_anew`). One that is read shares
  /// the model's embedding and head; what it repeats of them must be the same.
  void further_layers(std::int64_t first, std::int64_t count) { further_first_ = first, further_count_ = count; }
  /// The rotated rows of latent attention's projections, the last `turned` of each `head_dim` of queries and the last `turned`
  /// of kv_a_proj_with_mqa, lie as two halves in the files (`rope_interleave` is false). Rows j and turned / 2 + j turn
  /// together; what is read has them side by side, which is the same model.
  void rotated_halves(std::int64_t head_dim, std::int64_t turned) { head_dim_ = head_dim, turned_ = turned; }
  /// How many tensors are in those layers of which none was read.
  std::int64_t num_left_out() const {
    return std::count_if(tensors_.begin(), tensors_.end(), [&](auto const& t) {
      auto const layer = further_layer(t.first);
      return !layer.empty() && !read_of(layer);
    });
  }
  /// Whether `name` is of one of those layers, and the files hold nothing of that layer.
  bool starts_anew(std::string const& name) const {
    auto const layer = further_layer(name);
    if (layer.empty()) return false;
    auto const at = tensors_.lower_bound(layer);
    return at == tensors_.end() || !at->first.starts_with(layer);
  }
  /// Whether there is a tensor of this name, in whatever layout.
  bool contains(std::string const& name) const { return tensors_.count(name) != 0 || fused(name).tensor != nullptr; }

  /// The shape of the tensor of this name as it is stored; empty where there is none.
  std::vector<std::int64_t> shape_of(std::string const& name) const {
    auto const found = tensors_.find(name);
    return found == tensors_.end() ? std::vector<std::int64_t>{} : found->second.tensor->shape;
  }
  /// Names and shapes of all weights as they are stored, without block scales, rotary tables and layers left out.
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> weights() const {
    std::vector<std::pair<std::string, std::vector<std::int64_t>>> all;
    for (auto const& [name, at] : tensors_)
      if (!name.ends_with("_scale_inv") && !name.ends_with(".rotary_emb.inv_freq") &&
          further_layer(name).empty())
        all.emplace_back(name, at.tensor->shape);
    return all;
  }

  /// The weight `name` as fp32, row-major, at `to`. One expert's `...experts.3.gate_proj.weight` is found in the fused
  /// layout too (`...experts.gate_up_proj` [experts, 2 * inner, hidden], gate first; `...experts.down_proj`). Throws
  /// tenon::error where it is missing, of another shape or of a type that holds no weight.
  void read(std::string const& name, std::vector<std::int64_t> const& shape, float* to) {
    auto const found = tensors_.find(name);
    if (found == tensors_.end()) return read_fused(name, shape, to);
    auto const& t = *found->second.tensor;
    require(name, t, t.shape, shape);
    to_floats(t.type, t.bytes, to);
    if (size_of(t.type) == 1) dequantise(name, t, to);
    if (turned_ > 0) pair_rows(name, shape, to);
    taken_.insert(name);
  }

  /// Throws tenon::error if a tensor was not read, except for what says nothing new: rotary tables of older versions,
  /// and an `lm_head.weight` that repeats the embedding of a tied model bit for bit.
  void finish() const {
    for (auto const& [name, place] : tensors_) {
      if (taken_.count(name) != 0 || name.ends_with(".rotary_emb.inv_freq")) continue;
      if (name == "lm_head.weight" && repeats(place, "model.embed_tokens.weight")) continue;
      if (auto const layer = further_layer(name); !layer.empty()) {
        bool const head = name == layer + "shared_head.head.weight";
        if (!read_of(layer) || (name == layer + "embed_tokens.weight" && repeats(place, "model.embed_tokens.weight")) ||
            (head && repeats(place, tensors_.count("lm_head.weight") != 0 ? "lm_head.weight" : "model.embed_tokens.weight")))
          continue;
        if (head || name == layer + "embed_tokens.weight")
          throw error("'" + (directory_ / place.file).string() + "' holds '" + name +
                      "' with other values than the model's own; tenon's modules of multi-token prediction share the "
                      "model's embedding and head. Train with .mtp_modules = 0");
      }
      throw error("'" + (directory_ / place.file).string() + "' holds '" + name +
                  "', which this model has no place for; it is another model (tenon import writes the recipe of one)");
    }
  }

 private:
  struct place {
    stored_tensor const* tensor;
    std::string file;
  };
  struct slice {
    stored_tensor const* tensor = nullptr;
    std::string name;
    std::int64_t expert = 0;
    int part = 0, parts = 1;  ///< which of the matrices side by side in it, and of how many
  };

  void add_file(std::string const& name) {
    auto const& file = files_.emplace(name, safetensors_file(directory_ / name)).first->second;
    for (auto const& [tensor, stored] : file.tensors())
      if (!tensors_.emplace(tensor, place{&stored, name}).second)
        throw error("'" + (directory_ / name).string() + "' and another file both hold '" + tensor +
                    "'; fetch the model again");
  }

  void add_index(path const& index) {
    auto const refuse = [&](std::string const& why) {
      return error("'" + index.string() + "' " + why + "; fetch the model again");
    };
    if (std::filesystem::file_size(index) > max_header_size) throw refuse("is larger than 100 MB");
    std::string text;
    read_file_following(index, text);
    auto const json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object())
      throw refuse("is not the index of a model: it has no object 'weight_map'");
    std::map<std::string, std::string> wanted;
    for (auto const& [tensor, file] : json["weight_map"].items()) {
      if (!file.is_string() || !allowed_file_name(file.get<std::string>()))
        throw refuse("places '" + tensor.substr(0, 80) + "' in something other than a file beside it");
      wanted.emplace(tensor, file.get<std::string>());
    }
    std::set<std::string> names;
    for (auto const& [tensor, file] : wanted) names.insert(file);
    for (auto const& file : names) add_file(file);
    for (auto const& [tensor, file] : wanted) {
      auto const found = tensors_.find(tensor);
      if (found == tensors_.end() || found->second.file != file)
        throw refuse("places '" + tensor + "' in " + file + ", which does not hold it");
    }
    for (auto const& [tensor, at] : tensors_)
      if (wanted.count(tensor) == 0) throw refuse("does not name '" + tensor + "', which " + at.file + " holds");
  }

  static void read_file_following(path const& file, std::string& text) {
    auto const map = mapped_file(file);  // a model's files may be links into a cache
    text.assign(reinterpret_cast<char const*>(map.bytes().data()), map.bytes().size());
  }

  void require(std::string const& name, stored_tensor const& t, std::vector<std::int64_t> const& has,
               std::vector<std::int64_t> const& wants) const {
    if (has != wants)
      throw error("tensor '" + name + "' in '" + directory_.string() + "' is " + shape_text(has) +
                  " and this recipe's is " + shape_text(wants) + "; it is another model");
    if (!is_weight(t.type))
      throw error("tensor '" + name + "' in '" + directory_.string() + "' is of type " + std::string(name_of(t.type)) +
                  ", which holds no weight that tenon reads (F32, F64, BF16, F16, F8_E4M3, F8_E5M2)");
  }

  void dequantise(std::string const& name, stored_tensor const& t, float* to) {
    auto const scale = tensors_.find(name + "_scale_inv");
    if (scale == tensors_.end())
      throw error("tensor '" + name + "' in '" + directory_.string() + "' is fp8 without its block scales '" + name +
                  "_scale_inv'; fetch the whole model, or its bf16 form");
    if (t.shape.size() != 2)
      throw error("tensor '" + name + "' in '" + directory_.string() + "' is fp8 of shape " + shape_text(t.shape) +
                  "; only matrices have block scales");
    auto const& s = *scale->second.tensor;
    std::vector<std::int64_t> const blocks{(t.shape[0] + block_rows_ - 1) / block_rows_,
                                           (t.shape[1] + block_cols_ - 1) / block_cols_};
    if (s.type != dtype::F32 || s.shape != blocks)
      throw error("'" + name + "_scale_inv' in '" + directory_.string() + "' is " + std::string(name_of(s.type)) + " " +
                  shape_text(s.shape) + " and blocks of " + std::to_string(block_rows_) + " x " +
                  std::to_string(block_cols_) + " need F32 " + shape_text(blocks) +
                  "; see weight_block_size in config.json");
    std::vector<float> scales(s.bytes.size() / 4);
    std::memcpy(scales.data(), s.bytes.data(), s.bytes.size());
    scale_blocks(to, t.shape[0], t.shape[1], scales.data(), block_rows_, block_cols_);
    taken_.insert(name + "_scale_inv");
  }

  void pair_rows(std::string const& name, std::vector<std::int64_t> const& shape, float* to) const {
    bool const query = name.ends_with(".self_attn.q_proj.weight") || name.ends_with(".self_attn.q_b_proj.weight");
    if (!query && !name.ends_with(".self_attn.kv_a_proj_with_mqa.weight")) return;
    auto const group = query ? head_dim_ : shape[0], width = shape[1], half = turned_ / 2;
    std::vector<float> halves(std::size_t(turned_ * width));
    for (auto first = group - turned_; first < shape[0]; first += group) {
      float* const rows = to + first * width;
      std::copy_n(rows, turned_ * width, halves.data());
      for (std::int64_t j = 0; j < turned_; ++j)
        std::copy_n(halves.data() + (j % 2 * half + j / 2) * width, width, rows + j * width);
    }
  }

  // P.experts.E.gate_proj.weight as a slice of P.experts.gate_up_proj, where that is there.
  slice fused(std::string const& name) const {
    constexpr std::string_view mark = ".experts.";
    auto const at = name.find(mark);
    if (at == std::string::npos) return {};
    auto const number = at + mark.size(), dot = name.find('.', number);
    if (dot == std::string::npos || dot == number || dot - number > 6) return {};
    auto const digits = name.substr(number, dot - number);
    if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) return {};
    auto const rest = name.substr(dot + 1);
    slice s;
    s.expert = std::stoll(digits);
    if (rest == "down_proj.weight")
      s.name = name.substr(0, number) + "down_proj";
    else if (rest == "gate_proj.weight" || rest == "up_proj.weight")
      s.name = name.substr(0, number) + "gate_up_proj", s.part = rest[0] == 'u', s.parts = 2;
    else
      return {};
    auto const found = tensors_.find(s.name);
    if (found != tensors_.end()) s.tensor = found->second.tensor;
    return s;
  }

  void read_fused(std::string const& name, std::vector<std::int64_t> const& shape, float* to) {
    auto const s = fused(name);
    if (s.tensor == nullptr)
      throw error("'" + directory_.string() + "' has no tensor '" + name + "'; it is not from this model");
    auto const& t = *s.tensor;
    if (t.shape.size() != 3 || s.expert >= t.shape[0] || t.shape[1] % s.parts != 0)
      throw error("tensor '" + s.name + "' in '" + directory_.string() + "' is " + shape_text(t.shape) +
                  ", which has no room for '" + name + "'; it is another model");
    require(s.name, t, {t.shape[1] / s.parts, t.shape[2]}, shape);
    if (size_of(t.type) == 1)
      throw error("tensor '" + s.name + "' in '" + directory_.string() +
                  "' holds fused experts in fp8, which is not supported; use the layout of one tensor an expert");
    auto const bytes = t.bytes.size() / std::size_t(t.shape[0] * s.parts);
    to_floats(t.type, t.bytes.subspan(std::size_t(s.expert * s.parts + s.part) * bytes, bytes), to);
    taken_.insert(s.name);
  }

  /// "model.layers.I." where `name` is of one of the further layers, else empty.
  std::string further_layer(std::string const& name) const {
    constexpr std::string_view begin = "model.layers.";
    if (further_count_ == 0 || !name.starts_with(begin)) return "";
    std::int64_t layer = -1;
    auto const* const at = name.data() + begin.size();
    auto const [end, code] = std::from_chars(at, name.data() + name.size(), layer);
    bool const is = code == std::errc{} && end != at && *end == '.' && layer >= further_first_ &&
                    layer < further_first_ + further_count_;
    return is ? name.substr(0, std::size_t(end + 1 - name.data())) : "";
  }
  /// Whether anything of a layer was read.
  bool read_of(std::string const& layer) const {
    auto const at = taken_.lower_bound(layer);
    return at != taken_.end() && at->starts_with(layer);
  }
  bool repeats(place const& p, std::string const& other) const {
    auto const found = tensors_.find(other);
    if (found == tensors_.end()) return false;
    auto const &a = *p.tensor, &b = *found->second.tensor;
    return a.type == b.type && a.shape == b.shape && std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
  }

  path directory_;
  std::map<std::string, safetensors_file> files_;
  std::map<std::string, place> tensors_;
  std::set<std::string> taken_;
  std::int64_t block_rows_ = 128, block_cols_ = 128, further_first_ = 0, further_count_ = 0, head_dim_ = 0, turned_ = 0;
};

}  // namespace tenon::checkpoint
