// expect: \[tenon\.head_width_on_gpu\] a head of the model, \.hidden / \.heads, is wider than 256 channels
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(
#ifdef FIXED
    tn::model::deepseek_llm{.vocab = 512, .hidden = 1'024, .layers = 2, .heads = 8, .intermediate = 2'816},
#else
    tn::model::deepseek_llm{.vocab = 512, .hidden = 1'024, .layers = 2, .heads = 2, .intermediate = 2'816},
#endif
    tn::target::h100{});
static_assert(tn::legal<mine>);
