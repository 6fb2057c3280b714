// The worked example of docs/writing-a-layer.md: the code block there is the region below, word for word.
#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "exec/compare.hpp"
#include "support/executor_room.hpp"
#include "support/test.hpp"
#include "support/toy_executor.hpp"
#include "tenon/core/error.hpp"
#include "tenon/exec/buffer.hpp"
#include "tenon/exec/count/executor.hpp"
#include "tenon/exec/cpu/executor.hpp"
#include "tenon/exec/gradient_check.hpp"
#include "tenon/nn/attention.hpp"
#include "tenon/nn/decoder_block.hpp"
#include "tenon/nn/layout.hpp"
#include "tenon/nn/rmsnorm.hpp"

// [layer]
namespace mine {
using namespace tenon::nn;

/// y = down(relu(up(x))^2) (So et al. 2021, arXiv 2109.08668). Adds to the stream; the norm before has written saved.dw.in.
template <int Hidden, int Inner>
struct squared_relu {
  static constexpr int width = Hidden;
  template <class F>
  struct params {
    typename F::template matrix<Inner, Hidden, role::hidden, initializer::normal> up;
    typename F::template matrix<Hidden, Inner, role::hidden, initializer::normal_by_depth> down;
  };
  template <class T>
  struct saved {
    struct { rows<float, Inner> up; } dx;
    struct { rows<T, Hidden> in; rows<T, Inner> squared, d_up; rows<T, Hidden> d_out; } dw;
  };
  struct scratch { rows<float, Inner> d_squared; };

  template <mode M, class X, class T>
  static constexpr void forward(X& x, micro_batch const& b, params<weights<T>> const& p, saved<T> const& s, rows<float, Hidden> stream) {
    x.linear(b.num_rows(), s.dw.in, p.up, s.dx.up);
    x.rows(b.num_rows(), [&](auto first, auto last) {
      for (auto i = first * Inner; i < last * Inner; ++i) s.dw.squared.data[i] = narrow<T>(s.dx.up.data[i] > 0 ? s.dx.up.data[i] * s.dx.up.data[i] : 0);
    });
    x.linear_add(b.num_rows(), s.dw.squared, p.down, stream);
  }
  template <class X, class T>
  static constexpr void backward_input(X& x, micro_batch const& b, params<weights<T>> const& p, saved<T> const& s, scratch const& t, rows<float, Hidden> d_stream, rows<float, Hidden> d_in) {
    x.convert(b.num_rows(), d_stream, s.dw.d_out);
    x.linear_backward_input(b.num_rows(), s.dw.d_out, p.down, t.d_squared, 0.f);
    x.rows(b.num_rows(), [&](auto first, auto last) {
      for (auto i = first * Inner; i < last * Inner; ++i) s.dw.d_up.data[i] = narrow<T>(s.dx.up.data[i] > 0 ? 2 * s.dx.up.data[i] * t.d_squared.data[i] : 0);
    });
    x.linear_backward_input(b.num_rows(), s.dw.d_up, p.up, d_in, 0.f);
  }
  template <class X, class T>
  static constexpr void backward_weight(X& x, micro_batch const& b, params<gradients> const& g, saved<T> const& s) {
    x.linear_backward_weight(b.num_rows(), s.dw.d_out, s.dw.squared, g.down);
    x.linear_backward_weight(b.num_rows(), s.dw.d_up, s.dw.in, g.up);
  }
};
}  // namespace mine
// [layer]

using namespace tenon;

namespace {

constexpr int hidden = 16, inner = 24;
constexpr std::int64_t num_rows = 30;
using layer = mine::squared_relu<hidden, inner>;

template <class T>
struct bench {
  exec::buffer room;
  layer::saved<T> saved{};
  layer::scratch scratch{};
  std::vector<T> up = random_values<T>(inner * hidden, 1, 0.5), down = random_values<T>(hidden * inner, 2, 0.5), in = random_values<T>(num_rows * hidden, 3);
  std::vector<float> stream = random_values<float>(num_rows * hidden, 4), d_stream = random_values<float>(num_rows * hidden, 5), d_in, d_up, d_down;

  explicit bench(int members) : room(nn::activation_bytes<layer::saved<T>>(num_rows, members) + nn::activation_bytes<layer::scratch>(num_rows, members)), d_in(stream.size()), d_up(up.size()), d_down(down.size()) {
    nn::bind_activations(scratch, nn::bind_activations(saved, room.data(), num_rows, members), num_rows, members);
    std::copy(in.begin(), in.end(), saved.dw.in.data);
  }
  void pass(auto& x) {
    nn::micro_batch const b{.samples = 1, .sequence = num_rows};
    layer::params<nn::weights<T>> p{};
    p.up.data = up.data(), p.down.data = down.data();
    layer::params<nn::gradients> g{};
    g.up.data = d_up.data(), g.down.data = d_down.data();
    layer::forward<nn::mode::train>(x, b, p, saved, nn::rows<float, hidden>{stream.data()});
    layer::backward_input(x, b, p, saved, scratch, nn::rows<float, hidden>{d_stream.data()}, nn::rows<float, hidden>{d_in.data()});
    x.barrier();
    layer::backward_weight(x, b, g, saved);
  }
};

template <class T>
void compare(int members) {
  bench<T> run(members);
  auto const x = wide(run.in, {num_rows, hidden}), up = wide(run.up, {inner, hidden}), down = wide(run.down, {hidden, inner});
  auto const y = wide(run.stream, {num_rows, hidden}).detach() + at::linear(at::relu(at::linear(x, up)).pow(2), down);
  y.backward(wide(run.d_stream, {num_rows, hidden}).detach());
  if (members == 0) {
    if constexpr (std::is_same_v<T, float>) {
      toy_executor plain;
      run.pass(plain);
    }
  } else {
    exec::cpu::team team(members);
    executor_room room(members, num_rows, inner);
    auto region = [&](int member) {
      auto x = room.template on<T>(team, member);
      run.pass(x);
    };
    team.run(region);
  }
  double const tolerance = std::is_same_v<T, float> ? 1e-5 : 4 * rounding<T>;
  expect_close(run.stream, y, tolerance);
  expect_close(run.d_in, x.grad(), tolerance);
  expect_close(run.d_up, up.grad(), tolerance);
  expect_close(run.d_down, down.grad(), tolerance);
}

std::string text_of(std::string const& name) {
  char const* const root = std::getenv("TENON_SOURCE_DIR");
  if (root == nullptr) throw error("TENON_SOURCE_DIR is not set; run the tests with ./tenon test, or set it to the repository");
  std::ifstream in(std::string(root) + "/" + name);
  std::ostringstream all;
  all << in.rdbuf();
  if (!in || all.str().empty()) throw error(name + " could not be read under " + root);
  return all.str();
}
std::string between(std::string const& text, std::string const& open, std::string const& close) {
  auto const begin = text.find(open), from = begin + open.size(), end = text.find(close, from);
  REQUIRE(begin != text.npos);
  REQUIRE(end != text.npos);
  return text.substr(from, end - from);
}

/// A block with the layer in it is a block like any other: it fits the library's own and is planned.
using block = nn::decoder_block<nn::rmsnorm<hidden, nn::bits(1e-6)>, nn::attention<hidden, 2, 2>, layer>;
static_assert(nn::num_parameters<block>() == 2 * hidden + 4 * hidden * hidden + 2 * hidden * inner);
constexpr std::int64_t counted = [] {
  exec::count::executor<float> x;
  layer::params<nn::weights<float>> const p{};
  layer::saved<float> const s{};
  nn::micro_batch const b{.samples = 1, .sequence = num_rows};
  layer::forward<nn::mode::train>(x, b, p, s, nn::rows<float, hidden>{});
  layer::backward_input(x, b, p, s, layer::scratch{}, nn::rows<float, hidden>{}, nn::rows<float, hidden>{});
  layer::backward_weight(x, b, layer::params<nn::gradients>{}, s);
  return x.gemm_flops;
}();
static_assert(counted == 3 * 2 * 2 * num_rows * hidden * inner);

}  // namespace

TEST("the layer of docs/writing-a-layer.md equals autograd") {
  SUBCASE("plain loops") { compare<float>(0); }
  SUBCASE("fp32, two members") { compare<float>(2); }
  SUBCASE("bf16, two members") { compare<nn::bf16>(2); }
  SUBCASE("fp16, three members") { compare<nn::fp16>(3); }
}

TEST("and passes the check that docs/writing-a-layer.md names") { EXPECT_EQ(tenon::check_gradients<layer>().complaint(), ""); }

TEST("docs/writing-a-layer.md shows exactly this code") {
  EXPECT_EQ(between(text_of("docs/writing-a-layer.md"), "```cpp\n", "```"), between(text_of("tests/nn/writing_a_layer.cpp"), "// [layer]\n", "// [layer]\n"));
}
