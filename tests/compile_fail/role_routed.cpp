// expect: \[tenon\.role_routed\] a parameter has a role that the optimizer does not route
#include <tenon/optim/routes.hpp>

namespace nn = tenon::nn;

/// A layer of someone's own.
struct gate {
  template <class F>
  struct params {
#ifdef FIXED
    typename F::template matrix<8, 8, nn::role::hidden, nn::initializer::normal> weight;
#else
    typename F::template matrix<8, 8, static_cast<nn::role>(17), nn::initializer::normal> weight;
#endif
  };
};
static_assert(tenon::optim::roles_routed<gate>);
