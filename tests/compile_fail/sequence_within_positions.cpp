// expect: \[tenon\.sequence_within_positions\] batch\.sequence is longer than model\.positions
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::batch{.sequence = 4'096_tokens}
#else
                tn::batch{.sequence = 8'192_tokens}
#endif
    );
static_assert(tn::legal<mine>);
