// expect: \[tenon\.stage_difficulty_in_range\] a stage of the curriculum has a difficulty range
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
               tn::horizon{20_epochs},
#ifdef FIXED
               tn::curriculum::by_length({{.until = 5_epochs, .high = 0.3},
                                          {.until = 15_epochs, .low = 0.3, .high = 0.7},
                                          {.until = 20_epochs, .low = 0.7}})
#else
                tn::curriculum::by_length({{.until = 5_epochs, .high = 0.3},
                                           {.until = 15_epochs, .low = 30, .high = 70},
                                           {.until = 20_epochs, .low = 0.7}})
#endif
    );
static_assert(tn::legal<mine>);
