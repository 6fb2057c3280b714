#pragma once
#include <algorithm>

#include "tenon/models/decoder.hpp"
#include "tenon/nn/latent_attention.hpp"
#include "tenon/nn/mixture_of_experts.hpp"
#include "tenon/nn/swiglu.hpp"

namespace tenon::models {

/// Widths of latent attention; QueryRank 0: queries are not compressed.
template <int Heads, int QueryRank, int Rank, int Nope, int Turned, int Value, std::uint32_t ScoreFactorBits>
struct latent_shape {
  template <int Hidden>
  using layer = nn::latent_attention<Hidden, Heads, QueryRank, Rank, Nope, Turned, Value, ScoreFactorBits>;
  static constexpr int rotary_dim = Turned, head_dim = std::max(Nope + Turned, Value);
  static constexpr int widest = Heads * std::max(Nope + Turned, Nope + Value), deepest = std::max(QueryRank, Rank);
};

/// Widths and routing of the experts; Shared experts lie on disk as one.
template <int Inner, int Shared, class Routing>
struct expert_shape {
  template <int Hidden>
  using layer = nn::mixture_of_experts<Hidden, Inner, Shared, Routing>;
  static constexpr int widest = std::max({Inner, Inner * Shared, Routing::experts});
};

/// DeepSeek-V2 and V3 (arXiv 2405.04434, 2412.19437): latent attention in every block, SwiGLU of width `Intermediate` in
/// the first `Dense` blocks and experts in all others. The two differ in the experts' routing.
template <int Vocab, int Hidden, int Layers, int Dense, int Intermediate, int Positions, bool Tied, class Latent,
          class Experts, std::uint32_t EpsilonBits, int RecomputeEvery, int Modules>
using latent_decoder =
    decoder<Vocab, Hidden, Layers, Dense, Positions, Tied, nn::rmsnorm<Hidden, EpsilonBits>,
            nn::decoder_block<nn::rmsnorm<Hidden, EpsilonBits>, typename Latent::template layer<Hidden>,
                              nn::swiglu<Hidden, Intermediate>>,
            nn::decoder_block<nn::rmsnorm<Hidden, EpsilonBits>, typename Latent::template layer<Hidden>,
                              typename Experts::template layer<Hidden>>,
            RecomputeEvery, Modules>;

/// `Modules`: of multi-token prediction, each with experts.
template <int Vocab, int Hidden, int Layers, int Dense, int Intermediate, int Positions, bool Tied, class Latent,
          class Experts, std::uint32_t EpsilonBits, int RecomputeEvery = 0, int Modules = 0>
struct deepseek_v3 : latent_decoder<Vocab, Hidden, Layers, Dense, Intermediate, Positions, Tied, Latent, Experts,
                                    EpsilonBits, RecomputeEvery, Modules> {
  static constexpr int head_dim = Latent::head_dim, rotary_dim = Latent::rotary_dim;
  static constexpr int widest = std::max({Hidden, Intermediate, Latent::widest, Experts::widest});
  static constexpr int deepest = std::max(Hidden, Latent::deepest);
};

/// The same with the softmax gate of V2.
template <int Vocab, int Hidden, int Layers, int Dense, int Intermediate, int Positions, bool Tied, class Latent,
          class Experts, std::uint32_t EpsilonBits, int RecomputeEvery = 0>
using deepseek_v2 = deepseek_v3<Vocab, Hidden, Layers, Dense, Intermediate, Positions, Tied, Latent, Experts,
                                EpsilonBits, RecomputeEvery>;

}  // namespace tenon::models
