// expect: \[tenon\.moments_not_narrower\] the dtype plan keeps the optimizer's moments in a narrower format
// complaint: P2
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct lean {
  using axis = tn::axis::precision;
  static constexpr std::string_view kind = "lean";
  static constexpr tn::dtype compute = tn::dtype::bf16;
#ifdef FIXED
  static constexpr tn::dtype_plan plan{.parameter = compute, .compute = compute, .moment = tn::dtype::fp32};
#else
  static constexpr tn::dtype_plan plan{.parameter = compute, .compute = compute, .moment = tn::dtype::bf16};
#endif
};

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
    tn::target::h100{}, lean{});
static_assert(tn::legal<mine>);
