// The product of DeepSeek-V2's choices.
#include "parity/matrix/matrix.hpp"

namespace {

template <int Rank, int Groups, int Dense, bool Tied>
struct row {
  template <std::uint32_t Score>
  using kind = parity::v2<Rank, Groups, Dense, Tied, Score>;
  row() { matrix::each_rope<tenon::model::deepseek_v2, Rank, Groups, Dense, Tied, kind>("v2", 1.5); }
};
template <int Rank, int Groups, int Dense>
void both_heads() {
  row<Rank, Groups, Dense, false>();
  row<Rank, Groups, Dense, true>();
}
template <int Rank>
void all_of() {
  both_heads<Rank, 1, 0>(), both_heads<Rank, 1, 1>(), both_heads<Rank, 4, 0>(), both_heads<Rank, 4, 1>();
}

}  // namespace

TEST("live: every V2 of the product is transformers' own, and what tenon writes of it is loaded" * doctest::skip(live::off())) {
  all_of<0>();
  all_of<24>();
  matrix::exported_are_loaded("v2_");
}
