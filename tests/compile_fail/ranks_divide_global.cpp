// expect: \[tenon\.ranks_divide_global\] batch\.global is not a multiple
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::batch{.global = 16_samples, .micro = 4_samples}, tn::parallel::mesh{tn::parallel::replicate{.ranks = 4}}
#else
               tn::batch{.global = 8_samples, .micro = 4_samples}, tn::parallel::mesh{tn::parallel::replicate{.ranks = 4}}
#endif
    );
static_assert(tn::legal<mine>);
