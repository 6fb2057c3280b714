// expect: \[tenon\.micro_divides_global\] batch\.micro does not divide batch\.global
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::batch{.sequence = 128_tokens, .global = 12_samples, .micro = 4_samples}
#else
                tn::batch{.sequence = 128_tokens, .global = 10_samples, .micro = 4_samples}
#endif
    );
static_assert(tn::legal<mine>);
