// expect: \[tenon\.tf32_on_target\] precision::fp32 is to round the operands of products to TF32
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
    tn::target::a100_80{},
#else
    tn::target::v100{},
#endif
    tn::precision::fp32{.tf32 = true});
static_assert(tn::legal<mine>);
