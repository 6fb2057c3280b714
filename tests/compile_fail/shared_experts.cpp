// expect: \[tenon\.shared_experts\] the experts have no shared one beside them
#include <tenon/nn/mixture_of_experts.hpp>

namespace nn = tenon::nn;

using router = nn::routing<8, 2, 1, 1, nn::gate::softmax, false, nn::bits(1.0)>;
#ifdef FIXED
using mine = nn::mixture_of_experts<64, 16, 1, router>;
#else
using mine = nn::mixture_of_experts<64, 16, 0, router>;
#endif
static_assert(mine::width == 64);
