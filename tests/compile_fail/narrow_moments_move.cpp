// expect: \[tenon\.narrow_moments_move\] optimizer\.moment is bf16
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
    tn::optimizer::adamw{.beta2 = 0.95, .moment = tn::dtype::bf16}
#else
    tn::optimizer::adamw{.beta2 = 0.999, .moment = tn::dtype::bf16}
#endif
);
static_assert(tn::legal<mine>);
