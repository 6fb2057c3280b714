#pragma once
#include "tenon/recipe.hpp"

namespace tenon::variants {

/// 1.2 B parameters: 21 blocks of width 2048 over the DeepSeek Coder vocabulary.
inline constexpr whole base_shape{model::deepseek_llm{
    .vocab = 32'256, .hidden = 2'048, .layers = 21, .heads = 16, .intermediate = 5'504, .positions = 4'096}};
static_assert(base_shape.policy.parameters() == 1'194'678'272);

/// The base run: 20 B tokens at 4096 per sample on one H200.
inline constexpr auto base =
    recipe(base_shape, target::h200{}, precision::bf16{}, horizon{tokens{20'000'000'000}},
           batch{.sequence = tokens{4'096}, .global = samples{256}, .micro = samples{4}},
           optimizer::adamw{.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .clip = 1.0},
           schedule::warmup_cosine{.peak = 3e-4, .warmup = steps{1'000}, .floor = 0.1},
           checkpoint::every{.period = period{steps{1'000}}, .keep = 3});

}  // namespace tenon::variants
