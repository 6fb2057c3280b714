// expect: \[tenon\.ranks_in_range\] ranks must be from 1
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::parallel::ddp{.ranks = 2}
#else
               tn::parallel::ddp{.ranks = 0}
#endif
    );
static_assert(tn::legal<mine>);
