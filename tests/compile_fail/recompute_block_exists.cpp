// expect: \[tenon\.recompute_block_exists\] memory\.every chooses no block
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::memory::recompute{.every = 1}
#else
                tn::memory::recompute{.every = 3}
#endif
    );
static_assert(tn::legal<mine>);
