#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "decoder.hpp"

/// What bench_step writes for its peers, read with nothing of tenon's.
namespace peers {

inline std::string text_of(std::string const& path) {
  std::ifstream in(path, std::ios::binary);
  std::string all((std::istreambuf_iterator<char>(in)), {});
  if (!in || all.empty()) throw std::runtime_error("cannot read '" + path + "'; bench_step writes it");
  return all;
}

inline sizes sizes_of(nlohmann::json const& s) {
  return {s["vocab"], s["hidden"], s["layers"], s["heads"], s["kv_heads"], s["intermediate"], s["sequence"], s["tied"], s["rope_theta"], s["norm_eps"]};
}

/// Copies the file's values into the module's parameters of the same names.
inline void load_weights(torch::nn::Module& module, std::string const& path) {
  auto const file = text_of(path);
  std::uint64_t length = 0;
  file.copy(reinterpret_cast<char*>(&length), 8);
  auto const header = nlohmann::json::parse(file.substr(8, length));
  at::NoGradGuard const no_grad;
  for (auto& item : module.named_parameters()) {
    auto const entry = header.find(item.key());
    if (entry == header.end() || (*entry)["shape"].get<std::vector<std::int64_t>>() != item.value().sizes().vec())
      throw std::runtime_error("'" + path + "' has no tensor '" + item.key() + "' of the module's shape");
    auto const offset = 8 + length + (*entry)["data_offsets"][0].get<std::uint64_t>();
    item.value().copy_(at::from_blob(const_cast<char*>(file.data()) + offset, item.value().sizes(), at::kFloat));
  }
}

struct batch {
  at::Tensor tokens, targets;
};
inline std::vector<batch> load_batches(nlohmann::json const& spec, std::string const& path) {
  auto file = text_of(path);
  std::int64_t const samples = spec["samples"], sequence = spec["sequence"];
  auto const count = std::int64_t(file.size()) / 4 / samples / (sequence + 1);
  auto const ids = at::from_blob(file.data(), {count, samples, sequence + 1}, at::kInt).to(at::kLong);
  std::vector<batch> all;
  for (std::int64_t i = 0; i < count; ++i)
    all.push_back({ids[i].narrow(1, 0, sequence).contiguous(), ids[i].narrow(1, 1, sequence).contiguous()});
  return all;
}

}  // namespace peers
