// expect: \[tenon\.length_contract\] horizon, batch and seed are answered by a type of your own
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct forever {
  using axis = tn::axis::horizon;
  static constexpr std::string_view kind = "forever";
};

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::horizon{1'000'000_steps}
#else
                forever{}
#endif
    );
static_assert(tn::legal<mine>);
