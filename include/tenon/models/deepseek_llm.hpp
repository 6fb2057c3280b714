#pragma once
#include "tenon/models/decoder.hpp"
#include "tenon/nn/attention.hpp"
#include "tenon/nn/swiglu.hpp"

namespace tenon::models {

template <int Hidden, int Heads, int KvHeads, int Intermediate, std::uint32_t EpsilonBits>
using dense_block = nn::decoder_block<nn::rmsnorm<Hidden, EpsilonBits>, nn::attention<Hidden, Heads, KvHeads>,
                                      nn::swiglu<Hidden, Intermediate>>;

/// The dense decoder of DeepSeek LLM and Coder (Bi et al. 2024, arXiv 2401.02954; llama's layout on disk): RMSNorm
/// before each branch, rotary positions, grouped-query attention, SwiGLU, tied or untied head. Everything that selects
/// code is a template argument, so two recipes that differ in rates and lengths share every symbol below.
template <int Vocab, int Hidden, int Layers, int Heads, int KvHeads, int Intermediate, int Positions, bool Tied,
          std::uint32_t EpsilonBits, int RecomputeEvery = 0>
struct deepseek_llm : decoder<Vocab, Hidden, Layers, 0, Positions, Tied, nn::rmsnorm<Hidden, EpsilonBits>,
                              dense_block<Hidden, Heads, KvHeads, Intermediate, EpsilonBits>,
                              dense_block<Hidden, Heads, KvHeads, Intermediate, EpsilonBits>, RecomputeEvery> {
  static constexpr int head_dim = Hidden / Heads;
  static constexpr int widest =
      Intermediate > Hidden ? Intermediate : Hidden;  ///< of the GEMM results in compute dtype
  static constexpr bool cuda_layers = true;  ///< exec::cuda has every operation that the layers call
};

}  // namespace tenon::models
