// expect: \[tenon\.dtype_plan_has_code\] the dtype plan states a format that the engine has no code for
// complaint: P1
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct all_bf16 {
  using axis = tn::axis::precision;
  static constexpr std::string_view kind = "all_bf16";
  static constexpr tn::dtype compute = tn::dtype::bf16;
#ifdef FIXED
  static constexpr tn::dtype_plan plan{.parameter = compute, .compute = compute};
#else
  static constexpr tn::dtype_plan plan{.parameter = compute, .compute = compute, .gradient = compute};
#endif
};

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
    tn::target::h100{}, all_bf16{});
static_assert(tn::legal<mine>);
