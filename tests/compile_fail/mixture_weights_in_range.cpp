// expect: \[tenon\.mixture_weights_in_range\] a weight of the mixture is not above 0
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
               tn::horizon{1'000_steps},
#ifdef FIXED
               tn::data::mixed({0.7, 0.3})
#else
                tn::data::mixed({0.7, 0, 0.3})
#endif
    );
static_assert(tn::legal<mine>);
