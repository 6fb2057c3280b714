// expect: \[tenon\.tokenizer_covers_bytes\] the tokenizer would have fewer than 257 entries
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine =
    tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
#ifdef FIXED
               tn::data::corpus{.tokenizer_vocab = 300}
#else
                tn::data::corpus{.tokenizer_vocab = 200}
#endif
    );
static_assert(tn::legal<mine>);
