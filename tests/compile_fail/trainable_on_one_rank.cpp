// expect: \[tenon\.trainable_on_one_rank\] a part of the weights stays as it is
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
               tn::horizon{1'000_steps},
               tn::trainable::lora{},
#ifdef FIXED
               tn::parallel::single{}
#else
               tn::parallel::ddp{.ranks = 2}
#endif
    );
static_assert(tn::legal<mine>);
