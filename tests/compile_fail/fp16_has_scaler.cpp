// expect: \[tenon\.fp16_has_scaler\] a precision of your own computes in fp16
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct bare_half {
  using axis = tn::axis::precision;
  static constexpr std::string_view kind = "bare_half";
  static constexpr tn::dtype compute = tn::dtype::fp16;
  static constexpr tn::dtype_plan plan{.parameter = compute, .compute = compute};
};

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
    tn::target::h100{},
#ifdef FIXED
    tn::precision::fp16{}
#else
    bare_half{}
#endif
);
static_assert(tn::legal<mine>);
