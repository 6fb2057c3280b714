#pragma once
#include <cstdint>
#include <string_view>

#include "tenon/core/fixed.hpp"
#include "tenon/recipe/axes.hpp"
#include "tenon/recipe/rope.hpp"

namespace tenon::model {

/// The dense decoder of the DeepSeek LLM / Coder family: RMSNorm before each sublayer, rotary embedding, grouped-query
/// attention, SwiGLU, no biases. Shapes: embedding [vocab, hidden]; query and output projections [hidden, hidden]; key
/// and value [kv_width, hidden]; gate and up [intermediate, hidden]; down [hidden, intermediate].
struct deepseek_llm {
  using axis = tenon::axis::model;
  static constexpr std::string_view kind = "deepseek_llm";
  static constexpr std::string_view read_by = "models::architecture";

  fixed<int> vocab = 0;                ///< rows of the embedding and of the head; required
  fixed<int> hidden = 0;               ///< width of the residual stream; required
  fixed<int> layers = 0;               ///< number of decoder blocks; required
  fixed<int> heads = 0;                ///< query heads; required, divides hidden
  fixed<int> kv_heads = 0;             ///< key and value heads; 0 means as many as heads
  fixed<int> intermediate = 0;         ///< inner width of SwiGLU; required
  fixed<int> positions = 4096;         ///< longest sequence
  fixed<bool> tied = false;            ///< the head shares the embedding's matrix
  fixed<double> rope_theta = 10000.0;  ///< base of the rotary frequencies
  model::rope_scaling rope_scaling{};  ///< longer texts than those of the first training
  fixed<double> norm_eps = 1e-6;       ///< epsilon of RMSNorm
  double init_std = 0.02;              ///< standard deviation of the normal initialiser

  /// Key and value heads with the default resolved.
  constexpr int kv() const { return kv_heads == 0 ? heads.get() : kv_heads.get(); }
  /// Width of one head.
  constexpr int head_dim() const { return heads == 0 ? 0 : hidden / heads; }
  /// Width of the key (or value) projection's output.
  constexpr int kv_width() const { return kv() * head_dim(); }
  /// Number of trained scalars: embedding, head unless tied, per block four attention and three SwiGLU matrices and two
  /// norms, and the last norm.
  constexpr std::int64_t parameters() const {
    std::int64_t const h = hidden, i = intermediate, v = vocab, k = kv_width();
    std::int64_t const block = 2 * h * h + 2 * h * k + 3 * h * i + 2 * h;
    return v * h * (tied ? 1 : 2) + layers * block + h;
  }
};

/// Any torch::nn::Module whose forward maps tokens [B, T] int64 to logits [B, T, vocab]; run under autograd. The type
/// is only named here, so a recipe with it is still checked without LibTorch's headers.
template <class Module>
struct torch_module {
  using axis = tenon::axis::model;
  using module_type = Module;
  static constexpr std::string_view kind = "torch_module";
  static constexpr std::string_view read_by = "train::engine_for";

  fixed<int> vocab = 0;  ///< last dimension of the logits; required
};

}  // namespace tenon::model

namespace tenon {

/// True for models of the dense decoder family, whose width, heads and positions the rules compare.
template <class Model>
inline constexpr bool is_dense_decoder = false;
template <>
inline constexpr bool is_dense_decoder<model::deepseek_llm> = true;

/// True for modules of others that run under LibTorch's autograd: no static layers, no plan, fp32.
template <class Model>
inline constexpr bool is_foreign_module = false;
template <class Module>
inline constexpr bool is_foreign_module<model::torch_module<Module>> = true;

}  // namespace tenon
