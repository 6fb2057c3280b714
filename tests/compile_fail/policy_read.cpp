// expect: \[tenon\.policy_read\] a policy of your own does not say which part of the run reads it
// complaint: C2
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct only_norms {
  using axis = tn::axis::trainable;
  static constexpr std::string_view kind = "only_norms";
#ifdef FIXED
  static constexpr std::string_view read_by = "my_engine";
#endif
};

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
    only_norms{});
static_assert(tn::legal<mine>);
