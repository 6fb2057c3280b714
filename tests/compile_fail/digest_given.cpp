// expect: \[tenon\.digest_given\] a fixed field belongs to no digest
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

/// A policy with a field that selects code.
struct averaging {
  using axis = tn::axis::trainable;
  static constexpr std::string_view kind = "averaging";
  static constexpr std::string_view read_by = "my_engine";
#ifdef FIXED
  tn::fixed<int, tn::digest::identity> copies = 2;
#else
  tn::fixed<int, tn::digest::none> copies = 2;
#endif
};

inline constexpr auto mine = tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172}, averaging{});
static_assert(tn::legal<mine>);
