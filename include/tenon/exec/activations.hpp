#pragma once
#include <algorithm>
#include <cmath>

#include "tenon/exec/buffer.hpp"
#include "tenon/exec/workspace.hpp"
#include "tenon/nn/layout.hpp"
#include "tenon/nn/rotation.hpp"

namespace tenon::exec {

/// Cosines and sines of each position's angles, [position][dim / 2].
inline void rotary_tables(nn::rotation const& turn, int positions, int dim, float* cosine, float* sine) {
  int const half = dim / 2;
  auto const factor = float(turn.scaling.table_factor());
  for (int position = 0; position < positions; ++position)
    for (int j = 0; j < half; ++j) {
      // As the reference implementations do, the frequency is rounded to fp32 before it meets the position.
      float const frequency = float(turn.frequency(j, dim));
      float const angle = float(position) * frequency;
      cosine[position * half + j] = std::cos(angle) * factor;
      sine[position * half + j] = std::sin(angle) * factor;
    }
}

/// In place of a scratch where nothing goes backward.
struct forward_only {};

/// Everything a model needs beside its parameters, made once at construction: what the backward pass needs (`saved`),
/// scratch, each member's private workspace and the rotary tables. The step allocates nothing.
template <class Model, class Compute, class Saved = typename Model::template saved<Compute>,
          class Scratch = typename Model::scratch>
struct activations {
  using saved_type = Saved;
  using scratch_type = Scratch;
  static constexpr bool backward = !std::is_same_v<Scratch, forward_only>;

  static constexpr std::int64_t bytes(std::int64_t num_rows, int members, std::int64_t keys) {
    return nn::activation_bytes<saved_type, backward>(num_rows, members) +
           nn::activation_bytes<scratch_type>(num_rows, members) + members * workspace_floats(keys) * 4 +
           shared_floats(num_rows) * 4 + rotary_bytes;
  }
  /// The team's shared memory: the packed left operand of a product, the rows or (going backward) a weight's outputs.
  static constexpr std::int64_t shared_floats(std::int64_t num_rows) {
    std::int64_t const lines = backward ? std::max<std::int64_t>({num_rows, Model::vocab, Model::widest}) : num_rows;
    return std::max(product_workspace(lines, product_depth, false),
                    product_workspace(num_rows, deepest, !std::is_same_v<Compute, float>));
  }
  /// One member's private memory; `keys` is the longest row of keys that attention meets.
  static constexpr std::int64_t workspace_floats(std::int64_t keys) {
    return nn::align_up(
        std::max(linear_workspace(Model::widest, deepest), attention_workspace(keys, Model::head_dim)), 16);
  }
  /// Longest sum of a product whose result is in the compute dtype.
  static constexpr int deepest = [] {
    if constexpr (requires { Model::deepest; })
      return Model::deepest;
    else
      return Model::hidden;
  }();
  /// Width of the part of a head that is rotated: all of it unless the model says otherwise.
  static constexpr int rotary_dim = [] {
    if constexpr (requires { Model::rotary_dim; })
      return Model::rotary_dim;
    else
      return Model::head_dim;
  }();
  static constexpr std::int64_t rotary_bytes = 2 * nn::align_up(std::int64_t{Model::positions} * (rotary_dim / 2) * 4);

  /// `num_rows`: the largest micro-batch; `keys`: the longest sequence (with a cache: the longest text).
  activations(std::int64_t num_rows, int members, std::int64_t keys, nn::rotation const& turn)
      : memory_(bytes(num_rows, members, keys)), workspace_stride_(workspace_floats(keys)) {
    auto* p = nn::bind_activations<backward>(saved, memory_.data(), num_rows, members);
    p = nn::bind_activations(scratch, p, num_rows, members);
    workspace_ = reinterpret_cast<float*>(p);
    shared_ = workspace_ + members * workspace_stride_;
    rotary_cos = shared_ + shared_floats(num_rows);
    rotary_sin = rotary_cos + rotary_bytes / 8;
    rotary_tables(turn, Model::positions, rotary_dim, rotary_cos, rotary_sin);
  }
  float* workspace(int member) const { return workspace_ + member * workspace_stride_; }
  float* shared() const { return shared_; }
  std::int64_t bytes() const { return memory_.bytes(); }

  saved_type saved{};
  scratch_type scratch{};
  float* rotary_cos = nullptr;
  float* rotary_sin = nullptr;

 private:
  buffer memory_;
  std::int64_t workspace_stride_;
  float* workspace_ = nullptr;
  float* shared_ = nullptr;
};

/// The same where nothing is trained: one block's memory whatever the depth, nothing that only a backward pass reads.
/// `LogitRows`: rows of logits at a time; a loss needs whole tiles, the next token's distribution one.
template <class Model, class Compute, int LogitRows>
using forward_activations =
    activations<Model, Compute, typename Model::template forward_state<Compute, LogitRows>, forward_only>;

}  // namespace tenon::exec
