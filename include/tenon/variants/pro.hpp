#pragma once
#include "tenon/variants/base.hpp"

namespace tenon::variants {

/// 6.7 B parameters: the shape of DeepSeek Coder 6.7B (32 blocks of width 4096), at 4096 positions.
inline constexpr whole pro_shape{model::deepseek_llm{
    .vocab = 32'256, .hidden = 4'096, .layers = 32, .heads = 32, .intermediate = 11'008, .positions = 4'096}};
static_assert(pro_shape.policy.parameters() == 6'740'512'768);

/// The base run with the pro shape: smaller micro-batches, every block recomputed.
inline constexpr auto pro = base.with(pro_shape, memory::recompute{}).edit([](auto& r) { r.batch.micro = samples{1}; });

}  // namespace tenon::variants
