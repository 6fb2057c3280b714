// expect: \[tenon\.trainable_static_layers\] the model runs under
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct net;

inline constexpr auto mine =
    tn::recipe(tn::model::torch_module<net>{.vocab = 512},
#ifdef FIXED
               tn::trainable::all{}
#else
               tn::trainable::lora{}
#endif
    );
static_assert(tn::legal<mine>);
