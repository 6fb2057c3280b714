// expect: \[tenon\.heads_divide_hidden\] model\.heads does not divide model\.hidden
#include <tenon/recipe.hpp>
#include <tenon/tenon.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(
#ifdef FIXED
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172});
#else
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 5, .intermediate = 172});

// A loop of one's own: neither the trainer nor what is done with it adds a second error.
double one_step(tn::data::micro_batch const& batch) {
  tn::trainer<mine> t(mine, 1, 100_steps);
  return tn::train::step(t, batch).loss;
}
#endif
int main(int argc, char** argv) { return tn::run<mine>(argc, argv); }
