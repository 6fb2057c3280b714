// expect: \[tenon\.lora_names_roles\] trainable::lora adapts neither
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
               tn::horizon{1'000_steps},
#ifdef FIXED
               tn::trainable::lora{.feed_forward = false}
#else
               tn::trainable::lora{.attention = false, .feed_forward = false}
#endif
    );
static_assert(tn::legal<mine>);
