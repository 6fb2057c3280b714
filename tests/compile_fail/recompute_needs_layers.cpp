// expect: \[tenon\.recompute_needs_layers\] memory::recompute repeats blocks
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct net;

inline constexpr auto mine = tn::recipe(
    tn::model::torch_module<net>{.vocab = 512}, tn::precision::fp32{},
#ifdef FIXED
    tn::memory::keep{}
#else
    tn::memory::recompute{}
#endif
);
static_assert(tn::legal<mine>);
