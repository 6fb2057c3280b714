// expect: \[tenon\.frozen_leaves_some\] trainable::frozen freezes every matrix
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
               tn::horizon{1'000_steps},
#ifdef FIXED
               tn::trainable::frozen{.attention = true}
#else
               tn::trainable::frozen{.attention = true, .feed_forward = true}
#endif
    );
static_assert(tn::legal<mine>);
