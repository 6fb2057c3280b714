// expect: \[tenon\.machine_contract\] the target or precision policy lacks
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct board {
  using axis = tn::axis::target;
  static constexpr std::string_view kind = "board";
#ifdef FIXED
  static constexpr bool native_bf16 = false, native_fp16 = false;
  constexpr tn::target_facts facts() const { return {.memory = 8_GiB, .fp32 = 100}; }
#endif
};

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
    board{});
static_assert(tn::legal<mine>);
