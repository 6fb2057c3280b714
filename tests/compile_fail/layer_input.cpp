// expect: \[tenon\.layer_input\] the layer has no place for its input
#include <tenon/nn/contract.hpp>

namespace nn = tenon::nn;

template <int Hidden>
struct doubled {
  static constexpr int width = Hidden;
  template <class F>
  struct params {
    typename F::template matrix<Hidden, Hidden, nn::role::hidden, nn::initializer::normal> weight;
  };
  template <class T>
  struct saved {
    struct {
#ifdef FIXED
      nn::rows<T, Hidden> in;
#endif
      nn::rows<T, Hidden> d_out;
    } dw;
  };
  struct scratch {};
  template <nn::mode M, class X, class T>
  static constexpr void forward(X& x, nn::micro_batch const& b, params<nn::weights<T>> const& p, saved<T> const& s, nn::rows<float, Hidden> stream) {
    x.linear_add(b.num_rows(), s.dw.in, p.weight, stream);
  }
  template <class X, class T>
  static constexpr void backward_input(X& x, nn::micro_batch const& b, params<nn::weights<T>> const& p, saved<T> const& s, scratch const&, nn::rows<float, Hidden> d_stream, nn::rows<float, Hidden> d_in) {
    x.convert(b.num_rows(), d_stream, s.dw.d_out);
    x.linear_backward_input(b.num_rows(), s.dw.d_out, p.weight, d_in, 0.f);
  }
  template <class X, class T>
  static constexpr void backward_weight(X& x, nn::micro_batch const& b, params<nn::gradients> const& g, saved<T> const& s) {
    x.linear_backward_weight(b.num_rows(), s.dw.d_out, s.dw.in, g.weight);
  }
};
static_assert(nn::require_layer<doubled<8>>());
