#pragma once
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

/// A small DeepSeek-style decoder that learns C++ from the headers of LibTorch in three to four minutes on two cores.
inline constexpr auto quickstart = tn::recipe(
    tn::model::deepseek_llm{.vocab = 2'048, .hidden = 192, .layers = 4, .heads = 4, .kv_heads = 2, .intermediate = 512, .positions = 1'024, .tied = true},
    tn::precision::fp32{},
    tn::horizon{2'800_steps},
    tn::batch{.sequence = 256_tokens, .global = 4_samples, .micro = 4_samples},
    tn::optimizer::adamw{.beta2 = 0.98, .weight_decay = 0.1, .clip = 1.0},
    tn::schedule::warmup_cosine{.peak = 2e-3, .warmup = 4_percent, .floor = 0.02},
    tn::checkpoint::every{.period = tn::steps{300}, .keep = 3},
    tn::observe::standard{.log_every = 20_steps, .evaluate_every = 400_steps});
