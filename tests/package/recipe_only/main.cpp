#include <tenon/recipe.hpp>

using namespace std;
using namespace tenon;

inline constexpr auto small =
    recipe(model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 176}, horizon{steps{100}});
static_assert(legal<small>);

int main() { return small.model.hidden == 64 ? 0 : 1; }
