#pragma once
#include "tenon/variants/base.hpp"

namespace tenon::variants {

/// 13 B parameters: 40 blocks of width 5120 over a vocabulary of 32000.
inline constexpr whole ultra_shape{model::deepseek_llm{
    .vocab = 32'000, .hidden = 5'120, .layers = 40, .heads = 40, .intermediate = 13'824, .positions = 4'096}};
static_assert(ultra_shape.policy.parameters() == 13'015'864'320);

/// The base run with the ultra shape: smaller micro-batches, every block recomputed, a lower rate.
inline constexpr auto ultra = base.with(ultra_shape, memory::recompute{}).edit([](auto& r) {
  r.batch.micro = samples{1};
  r.schedule.peak = 2e-4;
});

}  // namespace tenon::variants
