#pragma once
#include "tenon/checkpoint/state_move.hpp"

namespace tenon {

/// How a checkpoint of recipe `Old` becomes one of recipe `New`. Written for a pair of recipes, as a specialisation with
///   static void rules(checkpoint::state_move& m);
/// It is the only way to use a checkpoint whose identity is another one (another model, precision or optimizer).
template <auto const& Old, auto const& New>
struct migration;

namespace app {

/// Whether somebody wrote the migration.
template <auto const& Old, auto const& New>
concept has_migration = requires(checkpoint::state_move& m) {
  migration<Old, New>::rules(m);
};

struct no_migration {};

/// Does not compile where nobody did.
template <auto const& Old, auto const& New>
struct given_migration {
  static constexpr bool written = has_migration<Old, New>;
  static_assert(written,
                "[tenon.migration_given] nobody has said how a checkpoint of the first recipe becomes one of the second. "
                "Write template <> struct tenon::migration<first, second> with static void "
                "rules(tenon::checkpoint::state_move&); see docs/checkpoints.md");
};

}  // namespace app

/// static_assert(tenon::migration_is_given<old, now>); is true, or the error that tenon::migrate<old, now> would be: without
/// LibTorch, so in a fraction of a second.
template <auto const& Old, auto const& New>
inline constexpr bool migration_is_given = !__is_base_of(app::no_migration, app::given_migration<Old, New>);

}  // namespace tenon
