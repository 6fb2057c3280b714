// expect: \[tenon\.precision_native_on_target\] the precision computes in a format that the target only emulates
// complaint: P7
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
    tn::target::v100{},
#ifdef FIXED
    tn::precision::fp16{}
#else
    tn::precision::bf16{}
#endif
);
static_assert(tn::legal<mine>);
