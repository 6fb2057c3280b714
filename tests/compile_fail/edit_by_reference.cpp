// expect: \[tenon\.edit_by_reference\] \.edit was given a function that takes the recipe by value
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto base =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172});
#ifdef FIXED
inline constexpr auto slower = base.edit([](auto& r) { r.schedule.peak = 1e-4; });
#else
inline constexpr auto slower = base.edit([](auto r) { r.schedule.peak = 1e-4; });
#endif
static_assert(tn::legal<slower>);
