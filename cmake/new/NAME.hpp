#pragma once
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

/// A small decoder for a first run on an own text. Change a number and build again: the compiler says what does not fit.
inline constexpr auto @NAME@ = tn::recipe(
    tn::model::deepseek_llm{.vocab = 4'096, .hidden = 256, .layers = 4, .heads = 8, .intermediate = 688},
    tn::precision::fp32{},
    tn::horizon{200_steps},
    tn::batch{.sequence = 128_tokens, .global = 16_samples, .micro = 4_samples},
    tn::optimizer::adamw{.weight_decay = 0.1, .clip = 1.0},
    tn::schedule::warmup_cosine{.peak = 1e-3, .warmup = 20_steps, .floor = 0.1},
    tn::checkpoint::every{.period = 100_steps, .keep = 2});
