// expect: \[tenon\.lora_alpha_positive\] trainable.alpha must be above 0
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
               tn::horizon{1'000_steps},
#ifdef FIXED
               tn::trainable::lora{.alpha = 32}
#else
               tn::trainable::lora{.alpha = 0}
#endif
    );
static_assert(tn::legal<mine>);
