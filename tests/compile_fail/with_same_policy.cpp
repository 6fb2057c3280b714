// expect: \[tenon\.with_same_policy\] \.with was given a policy of the type
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto base =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
               tn::schedule::warmup_cosine{.peak = 6e-4, .warmup = 2_percent});
#ifdef FIXED
inline constexpr auto slower = base.edit([](auto& r) { r.schedule.peak = 1e-4; });
inline constexpr auto afresh = base.replace(tn::schedule::warmup_cosine{.peak = 1e-4});
static_assert(tn::legal<afresh>);
#else
inline constexpr auto slower = base.with(tn::schedule::warmup_cosine{.peak = 1e-4});
#endif
static_assert(tn::legal<slower>);
