#pragma once
#include "tenon/recipe.hpp"

/// Recipes that the tests of this room start from.
namespace recipes {

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr tn::model::deepseek_llm tiny_model{
    .vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172, .positions = 256};

inline constexpr auto tiny =
    tn::recipe(tiny_model, tn::target::cpu{.memory = 8_GiB}, tn::precision::fp32{}, tn::horizon{1'000_steps},
               tn::batch{.sequence = 128_tokens, .global = 16_samples, .micro = 4_samples},
               tn::schedule::warmup_cosine{.peak = 1e-3, .warmup = 100_steps, .floor = 0.1});

}  // namespace recipes
