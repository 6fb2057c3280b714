// expect: \[tenon\.routing\] the groups of a router do not work out
#include <tenon/nn/routing.hpp>

namespace nn = tenon::nn;

#ifdef FIXED
using mine = nn::routing<8, 2, 4, 2, nn::gate::sigmoid, true, nn::bits(1.0)>;
#else
using mine = nn::routing<8, 2, 8, 2, nn::gate::sigmoid, true, nn::bits(1.0)>;
#endif
static_assert(mine::experts == 8);
