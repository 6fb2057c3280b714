#pragma once
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

/// A small DeepSeek-style decoder that learns C++ from the headers of LibTorch in about four minutes on two cores.
inline constexpr auto quickstart = tn::recipe(
    tn::model::deepseek_llm{.vocab = 2'048, .hidden = 256, .layers = 4, .heads = 4, .kv_heads = 2, .intermediate = 688, .positions = 1'024, .tied = true},
    tn::precision::fp32{},
    tn::horizon{1'000_steps},
    tn::batch{.sequence = 256_tokens, .global = 8_samples, .micro = 8_samples},
    tn::optimizer::adamw{.beta2 = 0.98, .weight_decay = 0.1, .clip = 1.0},
    tn::schedule::warmup_cosine{.peak = 3e-3, .warmup = 5_percent, .floor = 0.05},
    tn::checkpoint::every{.period = tn::steps{200}, .keep = 2});
