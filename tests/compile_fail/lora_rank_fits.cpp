// expect: \[tenon\.lora_rank_fits\] trainable.rank is below 1, or not below the width
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
               tn::horizon{1'000_steps},
#ifdef FIXED
               tn::trainable::lora{.rank = 8}
#else
               tn::trainable::lora{.rank = 64}
#endif
    );
static_assert(tn::legal<mine>);
