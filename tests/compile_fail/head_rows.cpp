// expect: \[tenon\.head_rows\] the head takes rows of a loss that are no whole tiles
#include <tenon/nn/language_head.hpp>
#include <tenon/nn/rmsnorm.hpp>

namespace nn = tenon::nn;

using head = nn::language_head<512, 64, nn::rmsnorm<64, nn::bits(1e-6)>>;
#ifdef FIXED
constexpr int at_a_time = 2 * nn::row_tile;
#else
constexpr int at_a_time = 10;
#endif
auto loss_of(head::saved<float, at_a_time> const& s) { return head::loss_from(s, 0); }
