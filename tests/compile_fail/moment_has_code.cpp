// expect: \[tenon\.moment_has_code\] optimizer\.moment is a format that moments are not kept in
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
    tn::optimizer::adamw{.moment = tn::dtype::bf16}
#else
    tn::optimizer::adamw{.moment = tn::dtype::fp16}
#endif
);
static_assert(tn::legal<mine>);
