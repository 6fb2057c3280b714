// expect: \[tenon\.source_resumes\] the data policy does not say whether a sample can be found again
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

/// Text as it comes out of a pipe.
struct pipe {
  using axis = tn::axis::data;
  static constexpr std::string_view kind = "pipe";
  static constexpr std::string_view read_by = "my_loop";
#ifdef FIXED
  static constexpr bool resumes_exactly = false;
#endif
};

inline constexpr auto mine = tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172}, pipe{});
static_assert(tn::legal<mine>);
