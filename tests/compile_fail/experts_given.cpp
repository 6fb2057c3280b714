// expect: \[tenon\.experts_given\] model\.experts, chosen, shared and expert_intermediate must be at least 1
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(tn::model::deepseek_v3{.vocab = 512,
                                                               .hidden = 64,
                                                               .layers = 2,
                                                               .heads = 4,
                                                               .latent_rank = 32,
                                                               .nope_dim = 16,
#ifdef FIXED
                                                               .rope_dim = 8,
#else
                                                               .rope_dim = 8,
#endif
                                                               .value_dim = 16,
                                                               .intermediate = 172,
#ifdef FIXED
                                                               .dense_layers = 1,
                                                               .experts = 8,
                                                               .chosen = 2,
                                                               .expert_intermediate = 32,
                                                               .groups = 4,
                                                               .chosen_groups = 2,
                                                               .bias_rate = 0.001
#else
                                                               .dense_layers = 3,
                                                               .experts = 8,
                                                               .chosen = 2,
                                                               .expert_intermediate = 32,
                                                               .groups = 4,
                                                               .chosen_groups = 2,
                                                               .bias_rate = 0.001
#endif
});
static_assert(tn::legal<mine>);
