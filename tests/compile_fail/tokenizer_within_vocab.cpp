// expect: \[tenon\.tokenizer_within_vocab\] data\.tokenizer_vocab is larger than model\.vocab
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::data::corpus{.tokenizer_vocab = 500}
#else
                tn::data::corpus{.tokenizer_vocab = 1'000}
#endif
    );
static_assert(tn::legal<mine>);
