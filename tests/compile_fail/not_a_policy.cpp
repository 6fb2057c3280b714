// expect: \[tenon\.not_a_policy\] an argument is not a policy
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
    tn::precision::fp32{}
#else
    16
#endif
);
static_assert(tn::legal<mine>);
