// expect: \[tenon\.attention\] heads of attention do not work out
#include <tenon/nn/attention.hpp>

namespace nn = tenon::nn;

#ifdef FIXED
using mine = nn::attention<64, 4, 2>;
#else
using mine = nn::attention<64, 5, 5>;
#endif
static_assert(mine::width == 64);
