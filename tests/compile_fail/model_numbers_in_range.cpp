// expect: \[tenon\.model_numbers_in_range\] model\.rope_theta, norm_eps
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(
#ifdef FIXED
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172, .norm_eps = 1e-6}
#else
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172, .norm_eps = -1e-6}
#endif
);
static_assert(tn::legal<mine>);
