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
  static constexpr tn::dtype_plan plan{.parameter = compute, .compute = compute};
#else
  static constexpr tn::dtype_plan plan{.parameter = compute, .compute = compute, .moment = tn::dtype::bf16};
#endif
};

inline constexpr auto mine = tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
    tn::optimizer::adamw{.moment = tn::dtype::bf16},
#else
    tn::optimizer::adamw{},
#endif
    tn::target::h100{}, lean{});
static_assert(tn::legal<mine>);
