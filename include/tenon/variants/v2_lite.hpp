#pragma once
#include "tenon/variants/base.hpp"

namespace tenon::variants {

/// 15.7 B parameters, of which a token meets 2.7 B: the shape of DeepSeek-V2-Lite (arXiv 2405.04434, appendix B), at the
/// 4096 positions of its first training.
inline constexpr whole v2_lite_shape{model::deepseek_v2{.vocab = 102'400,
                                                        .hidden = 2'048,
                                                        .layers = 27,
                                                        .heads = 16,
                                                        .latent_rank = 512,
                                                        .nope_dim = 128,
                                                        .rope_dim = 64,
                                                        .value_dim = 128,
                                                        .intermediate = 10'944,
                                                        .dense_layers = 1,
                                                        .experts = 64,
                                                        .chosen = 6,
                                                        .shared = 2,
                                                        .expert_intermediate = 1'408,
                                                        .positions = 4'096}};
static_assert(v2_lite_shape.policy.parameters() == 15'706'484'224);

/// The base run with that shape, at the rate of its authors: small micro-batches, every block recomputed.
inline constexpr auto v2_lite = base.with(v2_lite_shape, memory::recompute{}).edit([](auto& r) {
  r.batch.micro = samples{1};
  r.schedule.peak = 4.2e-4;
});

}  // namespace tenon::variants
