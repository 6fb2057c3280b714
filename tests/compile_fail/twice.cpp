// expect: \[tenon\.twice\] two policies answer the same axis
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
    tn::precision::fp32{}
#else
    tn::precision::fp32{}, tn::precision::native{}
#endif
);
static_assert(tn::legal<mine>);
