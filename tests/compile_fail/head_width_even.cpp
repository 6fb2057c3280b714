// expect: \[tenon\.head_width_even\] the width of a head
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(
#ifdef FIXED
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172}
#else
    tn::model::deepseek_llm{.vocab = 512, .hidden = 60, .layers = 2, .heads = 4, .intermediate = 172}
#endif
);
static_assert(tn::legal<mine>);
