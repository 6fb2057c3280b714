// expect: \[tenon\.horizon_given\] the horizon is not positive
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::horizon{20'000_steps}
#else
                tn::horizon{0_steps}
#endif
    );
static_assert(tn::legal<mine>);
