// expect: \[tenon\.chain_width\] the links of a chain
#include <tenon/nn/chain.hpp>
#include <tenon/nn/rmsnorm.hpp>
#include <tenon/nn/swiglu.hpp>

namespace nn = tenon::nn;

template <int Hidden>
using norm = nn::rmsnorm<Hidden, nn::bits(1e-6)>;
template <int Hidden>
using feed_forward = nn::swiglu<Hidden, 96>;
template <int Hidden>
using link = nn::residual<norm<Hidden>, feed_forward<Hidden>>;

#ifdef FIXED
constexpr int second = 64;
#else
constexpr int second = 32;
#endif
template <class F>
struct names {
  norm<64>::params<F> norm_1;
  feed_forward<64>::params<F> mlp_1;
  norm<second>::params<F> norm_2;
  feed_forward<second>::params<F> mlp_2;
};
using mine = nn::chain<names, link<64>, link<second>>;
static_assert(mine::width == 64);
