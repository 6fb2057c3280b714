// expect: \[tenon\.dense_layers\] no block of the decoder is of the second kind
#include <tenon/models/decoder.hpp>
#include <tenon/nn/attention.hpp>
#include <tenon/nn/swiglu.hpp>

namespace nn = tenon::nn;

using norm = nn::rmsnorm<64, nn::bits(1e-6)>;
template <int Inner>
using block = nn::decoder_block<norm, nn::attention<64, 4, 4>, nn::swiglu<64, Inner>>;
#ifdef FIXED
using mine = tenon::models::decoder<512, 64, 4, 3, 32, true, norm, block<172>, block<256>, 0>;
#else
using mine = tenon::models::decoder<512, 64, 4, 4, 32, true, norm, block<172>, block<256>, 0>;
#endif
static_assert(mine::hidden == 64);
