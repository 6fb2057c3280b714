// expect: \[tenon\.warmup_within_horizon\] the warmup and decay of the schedule are longer than the run
// complaint: S5
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
               tn::horizon{500_steps},
#ifdef FIXED
               tn::schedule::warmup_cosine{.warmup = 5_percent}
#else
                tn::schedule::warmup_cosine{.warmup = 1'000_steps}
#endif
    );
static_assert(tn::legal<mine>);
