// expect: \[tenon\.parallel_width\] layers side by side
#include <tenon/nn/parallel.hpp>
#include <tenon/nn/rmsnorm.hpp>
#include <tenon/nn/swiglu.hpp>

namespace nn = tenon::nn;

using left = nn::swiglu<64, 96>;
#ifdef FIXED
using right = nn::swiglu<64, 48>;
#else
using right = nn::swiglu<32, 48>;
#endif
template <class F>
struct names {
  left::params<F> wide;
  right::params<F> narrow;
};
static_assert(nn::parallel<names, left, right>::width == 64);
