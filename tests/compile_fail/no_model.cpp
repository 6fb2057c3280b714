// expect: \[tenon\.no_model\] no model was given
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(
#ifdef FIXED
    tn::horizon{1'000_steps},
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172}
#else
    tn::horizon{1'000_steps}
#endif
);
static_assert(tn::legal<mine>);
