// expect: \[tenon\.kv_heads_divide_heads\] model\.kv_heads does not divide model\.heads
#include <tenon/recipe.hpp>
//
#include <tenon/exec/fits.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(tn::model::deepseek_llm{.vocab = 512,
                                                                .hidden = 64,
                                                                .layers = 2,
                                                                .heads = 4,
#ifdef FIXED
                                                                .kv_heads = 2,
#else
                                                                .kv_heads = 3,
#endif
                                                                .intermediate = 172});
static_assert(tn::plan<mine>.fits);
