// expect: \[tenon\.schedule_in_range\] a field of the schedule is outside its range
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::schedule::warmup_cosine{.floor = 0.1}
#else
                tn::schedule::warmup_cosine{.floor = 10}
#endif
    );
static_assert(tn::legal<mine>);
