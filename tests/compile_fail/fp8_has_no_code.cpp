// expect: \[tenon\.dtype_plan_has_code\] the dtype plan states a format that the engine has no code for
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct eight_bits {
  using axis = tn::axis::precision;
  static constexpr std::string_view kind = "eight_bits";
#ifdef FIXED
  static constexpr tn::dtype compute = tn::dtype::bf16;
#else
  static constexpr tn::dtype compute = tn::dtype::fp8;
#endif
  static constexpr tn::dtype_plan plan{.parameter = compute, .compute = compute};
};

inline constexpr auto mine = tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172}, tn::target::h100{}, eight_bits{});
static_assert(tn::legal<mine>);
