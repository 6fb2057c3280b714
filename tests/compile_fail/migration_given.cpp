// expect: \[tenon\.migration_given\] nobody has said how a checkpoint of the first recipe becomes one of the second
#include <tenon/app/migration.hpp>
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto small = tn::recipe(tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172});
inline constexpr auto narrow = small.replace(tn::optimizer::adamw{.moment = tn::dtype::bf16});
#ifdef FIXED
template <>
struct tenon::migration<small, narrow> {
  static void rules(tenon::checkpoint::state_move& m) { m.same("*"); }
};
#endif
static_assert(tn::migration_is_given<small, narrow>);
