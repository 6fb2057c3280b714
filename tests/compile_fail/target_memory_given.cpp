// expect: \[tenon\.target_memory_given\] the target has no memory
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::target::cpu{.memory = 24_GiB}
#else
                tn::target::cpu{.memory = 0_GiB}
#endif
    );
static_assert(tn::legal<mine>);
