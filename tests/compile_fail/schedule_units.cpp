// expect: \[tenon\.schedule_units\] `at` or `ramp` of the schedule reads a unit
// complaint: S2
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct by_samples {
  using axis = tn::axis::schedule;
  static constexpr std::string_view kind = "by_samples";
  double peak = 1e-3;
#ifdef FIXED
  constexpr double at(tn::steps, tn::steps, tn::tokens) const { return peak; }
#else
  constexpr double at(tn::samples, tn::samples, tn::tokens) const { return peak; }
#endif
  constexpr tn::steps ramp(tn::steps, tn::tokens) const { return 0_steps; }
};

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
    by_samples{});
static_assert(tn::legal<mine>);
