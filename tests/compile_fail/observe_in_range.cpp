// expect: \[tenon\.observe_in_range\] observe\.log_every must be
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::observe::standard{.log_every = 10_steps}
#else
                tn::observe::standard{.log_every = 0_steps}
#endif
    );
static_assert(tn::legal<mine>);
