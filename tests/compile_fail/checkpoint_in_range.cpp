// expect: \[tenon\.checkpoint_in_range\] checkpoint\.period must be positive
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::checkpoint::every{.period = 100_steps, .keep = 1}
#else
                tn::checkpoint::every{.period = 100_steps, .keep = 0}
#endif
    );
static_assert(tn::legal<mine>);
