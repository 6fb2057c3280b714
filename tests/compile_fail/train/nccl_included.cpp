// expect: \[tenon\.nccl_included\] the recipe spreads over several GPUs, and this program was built without NCCL
#include <tenon/recipe.hpp>
//
#include <tenon/parallel/ranks.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct engine_on_a_gpu {
  static constexpr bool on_device = true;
};

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172}, tn::target::h200{},
    tn::batch{.sequence = 128_tokens, .global = 8_samples, .micro = 2_samples},
#ifdef FIXED
    tn::parallel::single{});
#else
    tn::parallel::ddp{.ranks = 2});
#endif
static_assert(sizeof(tn::parallel::ranks_of<decltype(mine.parallel), engine_on_a_gpu, tn::dtype::fp32>::type) > 0);
