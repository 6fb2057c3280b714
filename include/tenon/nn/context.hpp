#pragma once
#include <bit>
#include <cstdint>

namespace tenon::nn {

/// Why a layer runs. `train`: keep what the backward pass needs. `recompute`: the same values again, without side
/// effects. `infer`: forward only. `decode`: forward only, rows appended to a key/value cache.
enum class mode : std::uint8_t { train, recompute, infer, decode };

/// Weights of a router's balance losses (nn/routing.hpp).
struct balance_weights {
  float expert = 0, device = 0, exchange = 0;
};

/// How a router's bias moves at the end of a step (nn/mixture_of_experts.hpp).
struct bias_rule {
  float rate = 0;
  bool centred = false;
};

/// One micro-batch as the layers see it. Arrays have `num_rows()` entries, one per token.
struct micro_batch {
  std::int64_t samples = 0;   ///< independent sequences
  std::int64_t sequence = 0;  ///< rows per sample
  std::int32_t const* tokens = nullptr;
  std::int32_t const* targets = nullptr;         ///< id to predict, or -1: this row has no loss
  std::int32_t const* positions = nullptr;       ///< for the rotary embedding; restarts with each document
  std::int32_t const* document_start = nullptr;  ///< first row, within the sample, that this row may attend to
  std::int64_t past = 0;                         ///< rows already in the key/value cache (mode::decode)
  /// Decoding one token of each of several texts (`sequence` is 1): the cache row where text i's newest token belongs;
  /// the text begins at document_start[i] of the cache. New keys and values come in at row `past`, behind all texts.
  std::int32_t const* cache_row = nullptr;
  float const* rotary_cos = nullptr;  ///< [positions][head_dim / 2]
  float const* rotary_sin = nullptr;
  balance_weights balance{};        ///< of routed experts
  float balance_seed = 0;           ///< scale / sequences of the step; 0: nothing balances
  double* balance_loss = nullptr;   ///< one sum for each sample, over layers and micro-batches; null: nobody asks
  float further_weight = 0;         ///< of the loss of each module that predicts a further token, beside the model's own
  constexpr std::int64_t num_rows() const { return samples * sequence; }
};

/// Layers are templates over integers, enums and types only (clang 14 has no floating-point template arguments), so a
/// number that selects code, like a norm's epsilon, travels as its bits.
constexpr std::uint32_t bits(double x) { return std::bit_cast<std::uint32_t>(static_cast<float>(x)); }
constexpr float number(std::uint32_t bits) { return std::bit_cast<float>(bits); }

}  // namespace tenon::nn
