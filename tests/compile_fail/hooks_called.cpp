// expect: \[tenon\.hooks_called\] end_of_step or adjusted of a policy reads what it is not given
#include <tenon/recipe.hpp>
#include <tenon/train/state.hpp>

namespace tn = tenon;
using namespace tenon::literals;

/// A schedule that counts the samples that it is told of.
struct patient {
  using axis = tn::axis::schedule;
  static constexpr std::string_view kind = "patient";
  double peak = 1e-3;
  struct state {
    std::int64_t seen = 0;
  };
  constexpr double at(tn::steps, tn::steps, tn::tokens) const { return peak; }
  constexpr tn::steps ramp(tn::steps, tn::tokens) const { return tn::steps{0}; }
#ifdef FIXED
  constexpr void end_of_step(state& s, tn::train::step_report const& report) const { s.seen += report.count; }
#else
  constexpr void end_of_step(state& s, tn::samples samples) const { s.seen += samples.count; }
#endif
};
constexpr bool in_range(patient const& p) { return p.peak > 0; }

inline constexpr auto mine = tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172}, patient{});
static_assert(tn::legal<mine>);
static_assert(tn::train::hooks_are_called<mine>);
