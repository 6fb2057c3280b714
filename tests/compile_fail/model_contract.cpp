// expect: \[tenon\.model_contract\] the model policy has no member `vocab`
#include <tenon/recipe.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct mine_too {
  using axis = tn::axis::model;
  static constexpr std::string_view kind = "mine_too";
#ifdef FIXED
  tn::fixed<int> vocab = 0;
  static constexpr std::string_view read_by = "models::architecture<mine_too>";
#endif
};

inline constexpr auto mine = tn::recipe(
#ifdef FIXED
    mine_too{.vocab = 512}
#else
    mine_too{}
#endif
);
static_assert(tn::legal<mine>);
