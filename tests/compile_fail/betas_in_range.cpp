// expect: \[tenon\.betas_in_range\] optimizer::adamw needs beta1 and beta2
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::optimizer::adamw{.beta2 = 0.95}
#else
                tn::optimizer::adamw{.beta2 = 1.0}
#endif
    );
static_assert(tn::legal<mine>);
