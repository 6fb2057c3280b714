// expect: \[tenon\.nesterov_needs_momentum\] optimizer::sgd with nesterov has no momentum
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::optimizer::sgd{.momentum = 0.9, .nesterov = true}
#else
                tn::optimizer::sgd{.momentum = 0, .nesterov = true}
#endif
    );
static_assert(tn::legal<mine>);
