// expect: \[tenon\.layer_params\] the layer has no aggregate of parameters
#include <tenon/nn/contract.hpp>

namespace nn = tenon::nn;

/// Adds its input to the stream once more.
template <int Hidden>
struct doubled {
  static constexpr int width = Hidden;
#ifdef FIXED
  template <class F>
  struct params {};
#endif
  template <class T>
  struct saved {
    struct {
      nn::rows<T, Hidden> in;
    } dw;
  };
  struct scratch {};
  template <nn::mode M, class X>
  static constexpr void forward(X&, nn::micro_batch const&, auto const&, auto const&, nn::rows<float, Hidden>) {}
  template <class X>
  static constexpr void backward_input(X&, nn::micro_batch const&, auto const&, auto const&, scratch const&, nn::rows<float, Hidden>, nn::rows<float, Hidden>) {}
  template <class X>
  static constexpr void backward_weight(X&, nn::micro_batch const&, auto const&, auto const&) {}
};
static_assert(nn::require_layer<doubled<8>>());
