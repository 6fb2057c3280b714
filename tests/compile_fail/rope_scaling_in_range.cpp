// expect: \[tenon\.rope_scaling_in_range\] a number of model\.rope_scaling is outside
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;
using tn::model::rope_type;

inline constexpr auto mine = tn::recipe(tn::model::deepseek_llm{
    .vocab = 512,
    .hidden = 64,
    .layers = 2,
    .heads = 4,
    .intermediate = 172,
#ifdef FIXED
    .rope_scaling = {.type = rope_type::yarn, .factor = 4, .original = 512}
#else
    .rope_scaling = {.type = rope_type::yarn, .factor = 0.5, .original = 512}
#endif
});
static_assert(tn::legal<mine>);
