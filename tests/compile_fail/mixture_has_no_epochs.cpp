// expect: \[tenon\.mixture_has_no_epochs\] the horizon counts epochs
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
               tn::data::mixed({0.7, 0.3}, {.held_out = 0.1}),
#ifdef FIXED
               tn::horizon{100_steps}
#else
                tn::horizon{2_epochs}
#endif
    );
static_assert(tn::legal<mine>);
