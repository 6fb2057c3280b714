// expect: \[tenon\.held_out_in_range\] data\.held_out is a share
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::data::corpus{.held_out = 0.05}
#else
                tn::data::corpus{.held_out = 5}
#endif
    );
static_assert(tn::legal<mine>);
