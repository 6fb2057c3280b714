// expect: \[tenon\.kv_heads_divide_heads\] model\.kv_heads does not divide model\.heads
// complaint: C3
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(
#ifdef FIXED
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .kv_heads = 2, .intermediate = 172}
#else
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .kv_heads = 3, .intermediate = 172}
#endif
);
static_assert(tn::legal<mine>);
