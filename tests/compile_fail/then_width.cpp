// expect: \[tenon\.then_width\] two stacks
#include <tenon/nn/attention.hpp>
#include <tenon/nn/decoder_block.hpp>
#include <tenon/nn/repeat.hpp>
#include <tenon/nn/rmsnorm.hpp>
#include <tenon/nn/swiglu.hpp>
#include <tenon/nn/then.hpp>

namespace nn = tenon::nn;

template <int Hidden>
using stack = nn::repeat<2, nn::decoder_block<nn::rmsnorm<Hidden, nn::bits(1e-6)>, nn::attention<Hidden, 4, 4>, nn::swiglu<Hidden, 96>>>;
#ifdef FIXED
using mine = nn::then<stack<64>, stack<64>>;
#else
using mine = nn::then<stack<64>, stack<32>>;
#endif
static_assert(mine::width == 64);
