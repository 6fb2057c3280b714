// expect: \[tenon\.schedule_contract\] the schedule policy lacks `at` or `ramp`
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct staircase {
  using axis = tn::axis::schedule;
  static constexpr std::string_view kind = "staircase";
  double peak = 1e-3;
#ifdef FIXED
  constexpr double at(tn::steps step, tn::steps, tn::tokens) const { return step < 100_steps ? peak : peak / 10; }
  constexpr tn::steps ramp(tn::steps, tn::tokens) const { return 0_steps; }
#endif
};

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
    staircase{});
static_assert(tn::legal<mine>);
