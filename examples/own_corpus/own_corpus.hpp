#pragma once
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

/// A text of one's own, in lessons of three levels: epochs 0 to 5 the easy third, 5 to 15 the middle, 15 to 20 the hard.
/// ./tenon train examples/own_corpus/own_corpus.hpp --data examples/own_corpus/lessons.jsonl
inline constexpr auto own_corpus = tn::recipe(
    tn::model::deepseek_llm{.vocab = 384, .hidden = 96, .layers = 2, .heads = 4, .intermediate = 256, .positions = 128},
    tn::precision::fp32{},
    tn::horizon{20_epochs},
    tn::batch{.sequence = 128_tokens, .global = 4_samples, .micro = 4_samples},
    tn::curriculum::by_field("level", {{.until = 5_epochs, .high = 0.34},
                                       {.until = 15_epochs, .low = 0.33, .high = 0.67},
                                       {.until = 20_epochs, .low = 0.66}}),
    tn::schedule::warmup_cosine{.peak = 3e-3, .warmup = 5_percent, .floor = 0.1},
    tn::checkpoint::every{.period = 100_steps, .keep = 2},
    tn::observe::standard{.log_every = 50_steps, .evaluate_every = 100_steps});
