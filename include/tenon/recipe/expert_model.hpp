#pragma once
#include <cstdint>
#include <string_view>

#include "tenon/core/fixed.hpp"
#include "tenon/recipe/axes.hpp"
#include "tenon/recipe/model.hpp"
#include "tenon/recipe/rope.hpp"

namespace tenon::model {

/// Scalars of a latent decoder with `routed` experts in each block that has any: embedding, head unless tied, blocks of
/// attention, two norms and SwiGLU or router and experts, the last norm, and modules of multi-token prediction. A router's
/// bias is no trained scalar.
template <class Model>
constexpr std::int64_t latent_decoder_parameters(Model const& m, std::int64_t routed) {
  std::int64_t const h = m.hidden, v = m.vocab, heads = m.heads, key = m.nope_dim + m.rope_dim, q = m.query_rank,
                     rank = m.latent_rank, inner = m.expert_intermediate;
  std::int64_t const query = q == 0 ? h * heads * key : h * q + q + q * heads * key;
  std::int64_t const latent = h * (rank + m.rope_dim) + rank + rank * heads * (m.nope_dim + m.value_dim);
  std::int64_t const attention = query + latent + heads * m.value_dim * h + 2 * h;
  std::int64_t const experts = h * m.experts + 3 * h * inner * (routed + m.shared);
  std::int64_t modules = 0;  // each: a block with experts, its projection, three norms
  if constexpr (requires { m.mtp_modules; }) modules = m.mtp_modules * (attention + experts + 2 * h * h + 3 * h);
  return v * h * (m.tied ? 1 : 2) + m.layers * attention + m.dense_layers * 3 * h * m.intermediate +
         (m.layers - m.dense_layers) * experts + h + modules;
}

/// DeepSeek-V2 (arXiv 2405.04434): latent attention, and experts behind a softmax gate in all but the first blocks. No
/// biases. A query or key head is nope_dim + rope_dim wide, a value head value_dim. Experts are SwiGLU of width
/// expert_intermediate; the shared ones are one SwiGLU of width shared * expert_intermediate.
struct deepseek_v2 {
  using axis = tenon::axis::model;
  static constexpr std::string_view kind = "deepseek_v2";
  static constexpr std::string_view read_by = "models::architecture";

  fixed<int> vocab = 0;                ///< rows of the embedding and of the head; required
  fixed<int> hidden = 0;               ///< width of the residual stream; required
  fixed<int> layers = 0;               ///< number of decoder blocks; required
  fixed<int> heads = 0;                ///< attention heads; required
  fixed<int> query_rank = 0;           ///< width of the query's latent (q_lora_rank); 0: queries are not compressed
  fixed<int> latent_rank = 0;          ///< width of the latent of keys and values (kv_lora_rank); required
  fixed<int> nope_dim = 0;             ///< of a key head, without rotation (qk_nope_head_dim); required
  fixed<int> rope_dim = 0;             ///< of a key head, rotated and shared by all heads (qk_rope_head_dim); required
  fixed<int> value_dim = 0;            ///< of a value head (v_head_dim); required
  fixed<int> intermediate = 0;         ///< inner width of SwiGLU in the dense blocks; required
  fixed<int> dense_layers = 1;         ///< first blocks without experts (first_k_dense_replace)
  fixed<int> experts = 0;              ///< routed experts of a block (n_routed_experts); required
  fixed<int> chosen = 0;               ///< of them for each token (num_experts_per_tok); required
  fixed<int> shared = 1;               ///< experts that every token goes to (n_shared_experts)
  fixed<int> expert_intermediate = 0;  ///< inner width of an expert (moe_intermediate_size); required
  fixed<int> groups = 1;               ///< of experts, such as those of one device (n_group); 1: choose among all
  fixed<int> chosen_groups = 1;        ///< of them for each token (topk_group)
  fixed<double> routed_scale = 1.0;    ///< factor of the routed experts (routed_scaling_factor)
  fixed<int> positions = 4096;         ///< longest sequence
  fixed<bool> tied = false;            ///< the head shares the embedding's matrix
  fixed<double> rope_theta = 10000.0;  ///< base of the rotary frequencies
  model::rope_scaling rope_scaling{};  ///< longer texts than those of the first training
  fixed<double> norm_eps = 1e-6;       ///< epsilon of RMSNorm; the norms of the latents have 1e-6
  double init_std = 0.006;             ///< standard deviation of the normal initialiser
  double expert_balance = 0.003;       ///< weight of the expert-level balance loss
  double device_balance = 0.05;        ///< weight of the device-level balance loss; a device is a group
  double exchange_balance = 0.02;      ///< weight of the communication balance loss

  /// Number of trained scalars.
  constexpr std::int64_t parameters() const { return latent_decoder_parameters(*this, experts); }
  /// Those that a token meets: the experts it does not go to left out.
  constexpr std::int64_t active_parameters() const { return latent_decoder_parameters(*this, chosen); }
};

/// How the bias of a sigmoid gate's router moves at the end of a step: by the rate against the sign of each expert's
/// load (DeepSeek-V3; Wang et al. 2024, arXiv 2408.15664), or the same with the mean of all moves taken away
/// (torchtitan).
enum class bias_update { sign, centred };

/// DeepSeek-V3 (arXiv 2412.19437): as V2, with a sigmoid gate whose bias, moved once a step without a gradient, evens out
/// the experts' load, and a sequence-wise balance loss beside it. While training, modules behind the last block may predict
/// further tokens (multi-token prediction); evaluation and generation do without them.
struct deepseek_v3 {
  using axis = tenon::axis::model;
  static constexpr std::string_view kind = "deepseek_v3";
  static constexpr std::string_view read_by = "models::architecture";

  fixed<int> vocab = 0;                ///< rows of the embedding and of the head; required
  fixed<int> hidden = 0;               ///< width of the residual stream; required
  fixed<int> layers = 0;               ///< number of decoder blocks; required
  fixed<int> heads = 0;                ///< attention heads; required
  fixed<int> query_rank = 0;           ///< width of the query's latent (q_lora_rank); 0: queries are not compressed
  fixed<int> latent_rank = 0;          ///< width of the latent of keys and values (kv_lora_rank); required
  fixed<int> nope_dim = 0;             ///< of a key head, without rotation (qk_nope_head_dim); required
  fixed<int> rope_dim = 0;             ///< of a key head, rotated and shared by all heads (qk_rope_head_dim); required
  fixed<int> value_dim = 0;            ///< of a value head (v_head_dim); required
  fixed<int> intermediate = 0;         ///< inner width of SwiGLU in the dense blocks; required
  fixed<int> dense_layers = 3;         ///< first blocks without experts (first_k_dense_replace)
  fixed<int> experts = 0;              ///< routed experts of a block (n_routed_experts); required
  fixed<int> chosen = 0;               ///< of them for each token (num_experts_per_tok); required
  fixed<int> shared = 1;               ///< experts that every token goes to (n_shared_experts)
  fixed<int> expert_intermediate = 0;  ///< inner width of an expert (moe_intermediate_size); required
  fixed<int> groups = 1;               ///< of experts, such as those of one device (n_group); 1: choose among all
  fixed<int> chosen_groups = 1;        ///< of them for each token (topk_group)
  fixed<double> routed_scale = 2.5;    ///< factor of the routed experts (routed_scaling_factor)
  fixed<bool> normalised = true;       ///< the chosen weights add up to one before that factor (norm_topk_prob)
  fixed<int> positions = 4096;         ///< longest sequence
  fixed<bool> tied = false;            ///< the head shares the embedding's matrix
  fixed<double> rope_theta = 10000.0;  ///< base of the rotary frequencies
  model::rope_scaling rope_scaling{};  ///< longer texts than those of the first training
  fixed<double> norm_eps = 1e-6;       ///< epsilon of RMSNorm; the norms of the latents have 1e-6
  double init_std = 0.006;             ///< standard deviation of the normal initialiser
  bias_update bias_rule = bias_update::sign;  ///< how the router's bias moves at the end of a step
  double bias_rate = 0.001;            ///< by how much; 0: it stays
  double sequence_balance = 0.0001;    ///< weight of the sequence-wise balance loss
  fixed<int> mtp_modules = 0;          ///< modules that predict a further token each (num_nextn_predict_layers)
  double mtp_weight = 0.3;             ///< weight of their mean loss (lambda)

  /// Number of trained scalars.
  constexpr std::int64_t parameters() const { return latent_decoder_parameters(*this, experts); }
  /// Those that a token meets: the experts it does not go to left out.
  constexpr std::int64_t active_parameters() const { return latent_decoder_parameters(*this, chosen); }
};

}  // namespace tenon::model

namespace tenon {

/// True for models with latent attention and routed experts.
template <class Model>
inline constexpr bool is_expert_decoder = false;
template <>
inline constexpr bool is_expert_decoder<model::deepseek_v2> = true;
template <>
inline constexpr bool is_expert_decoder<model::deepseek_v3> = true;

/// True for models made of tenon's own decoder blocks.
template <class Model>
inline constexpr bool is_decoder = is_dense_decoder<Model> || is_expert_decoder<Model>;

}  // namespace tenon
