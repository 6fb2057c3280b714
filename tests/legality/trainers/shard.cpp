// The trainers of one part of the rows in TENON_TRAINERS, which the tests print: those with row % TENON_SHARDS ==
// TENON_SHARD.
#include "legality/trainers.hpp"

namespace {

template <int Row>
struct row;
#define TENON_ROW(number, ...)                                         \
  template <>                                                          \
  struct row<number> {                                                 \
    static constexpr auto recipe = legality::recipe_of<__VA_ARGS__>(); \
    static_assert(tenon::legal<recipe>);                               \
  };
#include TENON_TRAINERS
#undef TENON_ROW

template <int Row>
void try_row() {
  if constexpr (Row < TENON_ROWS) {
    legality::train_and_resume<row<Row>::recipe>();
    try_row<Row + TENON_SHARDS>();
  }
}

#define TENON_TEXT_OF(x) #x
#define TENON_TEXT(x) TENON_TEXT_OF(x)
TEST("R1: every " TENON_TEXT(TENON_SHARDS) "th combination from " TENON_TEXT(TENON_SHARD) " trains and resumes exactly") {
  try_row<TENON_SHARD>();
}

}  // namespace
