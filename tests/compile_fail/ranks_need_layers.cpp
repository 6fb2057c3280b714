// expect: \[tenon\.ranks_need_layers\] ranks exchange
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct net;

inline constexpr auto mine =
    tn::recipe(tn::model::torch_module<net>{.vocab = 512}, tn::precision::fp32{},
#ifdef FIXED
               tn::parallel::single{}
#else
               tn::parallel::ddp{.ranks = 2}
#endif
    );
static_assert(tn::legal<mine>);
