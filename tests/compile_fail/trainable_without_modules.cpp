// expect: \[tenon\.trainable_without_modules\] a part of the weights stays as it is
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(tn::model::deepseek_v3{.vocab = 512,
                                                               .hidden = 64,
                                                               .layers = 2,
                                                               .heads = 4,
                                                               .latent_rank = 32,
                                                               .nope_dim = 16,
                                                               .rope_dim = 8,
                                                               .value_dim = 16,
                                                               .intermediate = 172,
                                                               .dense_layers = 1,
                                                               .experts = 8,
                                                               .chosen = 2,
                                                               .expert_intermediate = 32,
                                                               .groups = 4,
                                                               .chosen_groups = 2,
#ifdef FIXED
                                                               .mtp_modules = 0
#else
                                                               .mtp_modules = 1
#endif
                                        },
                                        tn::trainable::lora{.rank = 4});
static_assert(tn::legal<mine>);
