// expect: \[tenon\.parallel_included\] the recipe spreads over ranks, and the code that does it was not included
#include <tenon/recipe.hpp>
#ifdef FIXED
#include <tenon/parallel.hpp>
#else
#include <tenon/parallel/door.hpp>
#endif

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
    tn::batch{.sequence = 128_tokens, .global = 8_samples, .micro = 2_samples}, tn::parallel::ddp{.ranks = 2});
static_assert(sizeof(tn::parallel::ranks_of<decltype(mine.parallel), int, tn::dtype::fp32>) > 0);
