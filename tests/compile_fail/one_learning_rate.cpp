// expect: \[tenon\.one_learning_rate\] the optimizer has a learning rate of its own
// complaint: S3
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct lion {
  using axis = tn::axis::optimizer;
  static constexpr std::string_view kind = "lion";
  static constexpr std::string_view read_by = "optim::engine<lion>";
  static constexpr int moments = 1;
#ifndef FIXED
  double lr = 5e-7;
#endif
  double weight_decay = 0.1;
};

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
    lion{}, tn::schedule::constant{.peak = 5e-7}
#else
    lion{.lr = 5e-7}
#endif
);
static_assert(tn::legal<mine>);
