// expect: \[tenon\.chain_names\] a chain's names are two groups of parameters a link
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

template <class F>
struct names {
  norm<64>::params<F> norm_1;
  feed_forward<64>::params<F> mlp_1;
#ifdef FIXED
  norm<64>::params<F> norm_2;
  feed_forward<64>::params<F> mlp_2;
#endif
};
using mine = nn::chain<names, link<64>, link<64>>;
static_assert(mine::width == 64);
