// expect: \[tenon\.latent_attention\] a width of latent attention is not positive, or the rotated one is odd
#include <tenon/nn/latent_attention.hpp>

namespace nn = tenon::nn;

#ifdef FIXED
using mine = nn::latent_attention<64, 4, 0, 16, 8, 8, 8>;
#else
using mine = nn::latent_attention<64, 4, 0, 16, 8, 7, 8>;
#endif
static_assert(mine::width == 64);
