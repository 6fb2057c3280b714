// expect: \[tenon\.parallel_contract\] the parallel policy does not say how many ranks there are
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

/// Ranks that average their weights now and then.
struct gossip {
  using axis = tn::axis::parallel;
  static constexpr std::string_view kind = "gossip";
  static constexpr std::string_view read_by = "my_loop";
  int peers = 4;
#ifdef FIXED
  constexpr tn::parallel::replicas replicas() const { return {peers, 4_MiB, 60_seconds}; }
#endif
};

inline constexpr auto mine = tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
    tn::batch{.sequence = 128_tokens, .global = 8_samples, .micro = 2_samples}, gossip{});
static_assert(tn::legal<mine>);
