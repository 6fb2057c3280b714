// expect: \[tenon\.trainable_on_cpu\] the recipe leaves weights as they are
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
    tn::target::native{},
#else
    tn::target::h100{},
#endif
    tn::trainable::lora{});
static_assert(tn::legal<mine>);
