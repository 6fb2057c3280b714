#include "support/test.hpp"

#include "tenon/exec/gradient_check.hpp"
#include "tenon/nn/attention.hpp"
#include "tenon/nn/swiglu.hpp"

/// The checker finds what it is there to find: one layer, with one mistake at a time.

using namespace tenon;

namespace {

enum class mistake { none, factor, one_element, no_beta, never_adds, recompute, unwritten, scratch, input, barrier };

/// y += W x, with a gate that multiplies each column of x: enough for every kind of mistake.
template <mistake Wrong>
struct gated {
  static constexpr int width = 16;
  template <class F>
  struct params {
    typename F::template matrix<16, 16, nn::role::hidden, nn::initializer::normal> weight;
  };
  template <class T>
  struct saved {
    struct weight_half {
      nn::rows<T, 16> in, d_out;
    } dw;
    nn::rows<float, 16> never;
  };
  struct scratch {
    nn::rows<float, 16> copy;
  };
  template <nn::mode M, class X, class T>
  static constexpr void forward(X& x, nn::micro_batch const& b, params<nn::weights<T>> const& p, saved<T> const& s, nn::rows<float, 16> stream) {
    auto const n = b.num_rows();
    if constexpr (Wrong == mistake::barrier) {  // reads the row of another member, who may not have written it
      x.rows(n, [&](auto first, auto last) { s.dw.d_out.row(first)[0] = s.dw.in.row(last < n ? last : 0)[0]; });
      x.rows(n, [&](auto first, auto) { stream.row(first)[0] += s.dw.d_out.row(first)[0]; });
    }
    x.linear_add(n, s.dw.in, p.weight, stream);
    x.rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) {
        if (Wrong == mistake::recompute && M == nn::mode::recompute) stream.row(i)[3] += 1;
        if (Wrong == mistake::unwritten) stream.row(i)[0] += s.never.row(i)[0];
      }
    });
  }
  template <class X, class T>
  static constexpr void backward_input(X& x, nn::micro_batch const& b, params<nn::weights<T>> const& p, saved<T> const& s, scratch const& t, nn::rows<float, 16> d_stream, nn::rows<float, 16> d_in) {
    auto const n = b.num_rows();
    x.convert(n, d_stream, s.dw.d_out);
    x.linear_backward_input(n, s.dw.d_out, p.weight, d_in, 0.f);
    x.rows(n, [&](auto first, auto last) {
      for (auto i = first * 16; i < last * 16; ++i) {
        t.copy.data[i] = s.dw.d_out.data[i];
        if (Wrong == mistake::input) d_in.data[i] *= 1.02f;
        if (Wrong == mistake::factor) s.dw.d_out.data[i] *= 0.98f;
      }
    });
  }
  template <class X, class T>
  static constexpr void backward_weight(X& x, nn::micro_batch const& b, params<nn::gradients> g, saved<T> const& s) {
    auto const n = b.num_rows();
    if (Wrong == mistake::no_beta) g.weight.beta = 1;
    if (Wrong == mistake::never_adds) g.weight.beta = 0;
    x.barrier();
    if constexpr (Wrong == mistake::scratch) x.copy(n, s.never, s.dw.d_out);  // the memory after saved's last leaf, as good as scratch
    x.barrier();
    x.linear_backward_weight(n, s.dw.d_out, s.dw.in, g.weight);
    x.barrier();
    if (Wrong == mistake::one_element && x.member() == 0) g.weight.data[5] += 2.f * (g.weight.beta == 0 ? 1 : 2);
  }
};

template <mistake Wrong>
std::string said() {
  return check_gradients<gated<Wrong>>().complaint();
}
bool contains(std::string const& text, char const* part) { return text.find(part) != text.npos; }

}  // namespace

TEST("the gradient checker passes what is right") {
  EXPECT_EQ(said<mistake::none>(), "");
  EXPECT_EQ((check_gradients<nn::attention<24, 4, 2>>().complaint()), "");
  EXPECT_EQ((check_gradients<nn::swiglu<24, 40>>({.seed = 2, .samples = 1, .sequence = 33}).complaint()), "");
}

TEST("and names what is wrong") {
  EXPECT(contains(said<mistake::factor>(), "gradient of 'weight' is off"));
  EXPECT(contains(said<mistake::one_element>(), "gradient of 'weight' is off"));
  EXPECT(contains(said<mistake::input>(), "gradient of 'input' is off"));
  EXPECT(contains(said<mistake::no_beta>(), "beta 0 is not overwritten"));
  EXPECT(contains(said<mistake::never_adds>(), "beta 1 is not added to"));
  EXPECT(contains(said<mistake::recompute>(), "recomputing gives other bits"));
  EXPECT(contains(said<mistake::unwritten>(), "reads memory that nothing has written"));
  EXPECT(contains(said<mistake::scratch>(), "weight"));
  EXPECT(contains(said<mistake::barrier>(), "three members give other bits than one"));
}
