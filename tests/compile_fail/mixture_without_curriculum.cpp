// expect: \[tenon\.mixture_without_curriculum\] the recipe has a mixture and the stages
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
               tn::data::mixed({2, 1}),
               tn::horizon{1'000_steps},
#ifdef FIXED
               tn::curriculum::none{}
#else
                tn::curriculum::by_length({{.until = 500_steps, .high = 0.5}, {.until = 1'000_steps}})
#endif
    );
static_assert(tn::legal<mine>);
