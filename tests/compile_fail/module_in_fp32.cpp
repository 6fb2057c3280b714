// expect: \[tenon\.module_in_fp32\] the model is a foreign module
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct my_module;

inline constexpr auto mine = tn::recipe(tn::model::torch_module<my_module>{.vocab = 512},
#ifdef FIXED
                                        tn::precision::fp32{}
#else
                                        tn::precision::bf16{.emulated = true}
#endif
);
static_assert(tn::legal<mine>);
