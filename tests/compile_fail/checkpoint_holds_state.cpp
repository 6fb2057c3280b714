// expect: \[tenon\.checkpoint_holds_state\] each rank holds a part of the training state
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

/// A dimension of ranks of which each keeps a part of the moments.
struct split_moments {
  static constexpr bool shards_state = true;
  tn::operational<int, tn::digest::layout> ranks = 2;
  tn::operational<tn::bytes, tn::digest::layout> bucket = 4_MiB;
};

inline constexpr auto mine = tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
    tn::batch{.sequence = 128_tokens, .global = 8_samples, .micro = 2_samples}, tn::parallel::mesh{split_moments{}},
#ifdef FIXED
    tn::checkpoint::never{}
#else
    tn::checkpoint::every{.period = 100_steps}
#endif
);
static_assert(tn::legal<mine>);
