// expect: \[tenon\.parallel_names\] the names of two layers side by side
#include <tenon/nn/parallel.hpp>
#include <tenon/nn/rmsnorm.hpp>
#include <tenon/nn/swiglu.hpp>

namespace nn = tenon::nn;

using left = nn::swiglu<64, 96>;
using right = nn::swiglu<64, 48>;
template <class F>
struct names {
  left::params<F> wide;
#ifdef FIXED
  right::params<F> narrow;
#endif
};
static_assert(nn::parallel<names, left, right>::width == 64);
