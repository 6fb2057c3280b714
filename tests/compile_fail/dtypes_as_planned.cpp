// expect: \[tenon\.dtypes_as_planned\] a buffer of the engine has another dtype than precision and optimizer state
#include <tenon/exec/dtypes.hpp>
#include <tenon/models/of_recipe.hpp>
#include <tenon/recipe.hpp>

namespace tn = tenon;

/// A plan that says more than the engine does.
struct promising {
#ifdef FIXED
  static constexpr tn::dtype_plan plan{};
#else
  static constexpr tn::dtype_plan plan{.gradient = tn::dtype::bf16};
#endif
};

inline constexpr auto mine = tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172}, tn::precision::fp32{});
static_assert(sizeof(tn::exec::dtypes_as_planned<tn::models::of_recipe<mine>, float, promising>) > 0);
