#pragma once
#include "tenon/variants/base.hpp"

namespace tenon::variants {

/// DeepSeek-V3 at a size for one workstation: every part of it (compressed queries, groups of experts, a dense first
/// block) and none of its width.
inline constexpr whole v3_tiny_shape{model::deepseek_v3{.vocab = 8'192,
                                                        .hidden = 512,
                                                        .layers = 8,
                                                        .heads = 8,
                                                        .query_rank = 192,
                                                        .latent_rank = 128,
                                                        .nope_dim = 32,
                                                        .rope_dim = 16,
                                                        .value_dim = 32,
                                                        .intermediate = 1'408,
                                                        .dense_layers = 1,
                                                        .experts = 32,
                                                        .chosen = 4,
                                                        .expert_intermediate = 256,
                                                        .groups = 4,
                                                        .chosen_groups = 2,
                                                        .positions = 1'024,
                                                        .init_std = 0.02}};
static_assert(v3_tiny_shape.policy.parameters() == 105'049'088);

/// A run of a day or so on this machine.
inline constexpr auto v3_tiny =
    base.with(v3_tiny_shape, target::native{}, precision::native{}, horizon{tokens{200'000'000}})
        .edit([](auto& r) {
          r.batch.sequence = tokens{512}, r.batch.global = samples{32}, r.batch.micro = samples{4};
          r.schedule.peak = 1e-3, r.schedule.warmup = percent{1};
        });

}  // namespace tenon::variants
