// expect: \[tenon\.precision_native_on_target\] the precision computes in a format that the target only emulates
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct eight_bits {
  using axis = tn::axis::precision;
  static constexpr std::string_view kind = "eight_bits";
  static constexpr tn::dtype compute = tn::dtype::fp8;
  static constexpr tn::dtype_plan plan{.parameter = compute, .compute = compute};
};

inline constexpr auto mine = tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172}, tn::target::a100_80{},
#ifdef FIXED
    tn::precision::native{}
#else
    eight_bits{}
#endif
);
static_assert(tn::legal<mine>);
