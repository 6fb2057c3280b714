// expect: \[tenon\.optimizer_on_gpu\] the target is a GPU, where only optimizer::adamw and sgd have an update
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct lion {
  using axis = tn::axis::optimizer;
  static constexpr std::string_view kind = "lion";
  static constexpr std::string_view read_by = "optim::engine<lion>";
  static constexpr int moments = 1;
  double beta1 = 0.9, beta2 = 0.99;
};

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
    lion{},
#ifdef FIXED
    tn::target::native{}
#else
    tn::target::h100{}
#endif
);
static_assert(tn::legal<mine>);
