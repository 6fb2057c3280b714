// expect: \[tenon\.stages_reach_horizon\] the last stage of the curriculum ends before the run does
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
               tn::curriculum::by_length({{.until = 5_epochs, .high = 0.3},
                                          {.until = 15_epochs, .low = 0.3, .high = 0.7},
                                          {.until = 20_epochs, .low = 0.7}}),
#ifdef FIXED
               tn::horizon{20_epochs}
#else
                tn::horizon{30_epochs}
#endif
    );
static_assert(tn::legal<mine>);
