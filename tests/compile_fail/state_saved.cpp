// expect: \[tenon\.state_saved\] a policy keeps state that a checkpoint cannot hold
#include <tenon/recipe.hpp>
#include <tenon/train/state.hpp>

#include <vector>

namespace tn = tenon;
using namespace tenon::literals;

/// A schedule that remembers losses.
struct plateau {
  using axis = tn::axis::schedule;
  static constexpr std::string_view kind = "plateau";
  double peak = 1e-3;
  struct state {
    std::int64_t since = 0;
#ifdef FIXED
    double best = 1e30;
#else
    std::vector<double> losses;
#endif
  };
  constexpr double at(tn::steps, tn::steps, tn::tokens) const { return peak; }
  constexpr tn::steps ramp(tn::steps, tn::tokens) const { return tn::steps{0}; }
};
constexpr bool in_range(plateau const& p) { return p.peak > 0; }

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
               tn::horizon{500_steps}, tn::batch{.sequence = 64_tokens, .global = 4_samples, .micro = 2_samples}, plateau{});
static_assert(tn::legal<mine>);
static_assert(tn::train::state_is_saved<mine>);
