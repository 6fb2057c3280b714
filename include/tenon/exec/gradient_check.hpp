#pragma once
#include "tenon/exec/gradient_bench.hpp"

namespace tenon {

/// What `check_gradients` found.
struct gradient_check {
  struct tensor {
    std::string name;  ///< of a parameter; "input" for the layer's input
    std::vector<float> gradient;
    double off = 0;  ///< the worst difference from finite differences, as a share of the gradient's norm
  };
  std::vector<tensor> tensors;
  std::vector<std::string> broken;  ///< rules of the contract that do not hold, a sentence each
  double tolerance = 0;

  /// Empty where all is well, else what is wrong: `EXPECT_EQ(check_gradients<my_layer>().complaint(), "")`.
  std::string complaint() const {
    std::string text;
    for (auto const& t : tensors)
      if (!(t.off <= tolerance))
        text += "the gradient of '" + t.name + "' is off by " + std::to_string(t.off) + " of its norm; ";
    for (auto const& sentence : broken) text += sentence + "; ";
    return text;
  }
};

namespace exec {

/// The gradient of output * direction along a random direction of `at`, by central differences of fourth order.
/// `along` takes the direction, of -1 and 1.
template <class Layer>
double difference(gradient_bench<Layer>& bench, float* at, std::int64_t n, random_stream const& random,
                  std::vector<float>& along) {
  constexpr float h = 0.01f;
  std::vector<float> const kept(at, at + n);
  along.resize(std::size_t(n));
  for (std::size_t i = 0; i < along.size(); ++i) along[i] = random.uniform(i) < 0.5 ? -1.f : 1.f;
  auto const moved = [&](float by) {
    for (std::int64_t i = 0; i < n; ++i) at[i] = kept[std::size_t(i)] + by * along[std::size_t(i)];
    return bench.forward();
  };
  double const slope = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12. * h);
  std::copy(kept.begin(), kept.end(), at);
  return slope;
}

/// Adds what differences say about one tensor.
template <class Layer>
void check_tensor(gradient_check& found, gradient_bench<Layer>& bench, gradient_check_options const& o,
                  std::string name, float* at, float const* gradient, std::int64_t n) {
  gradient_check::tensor t{std::move(name), {gradient, gradient + n}, 0};
  double norm = 0;
  for (float g : t.gradient) norm += double(g) * g;
  norm = std::sqrt(norm) + 1e-6 * std::sqrt(double(n));  // a gradient of zero is compared with rounding
  std::vector<float> along;
  for (int d = 0; d < o.directions; ++d) {
    double const slope = difference(bench, at, n, random_stream(o.seed, t.name, std::uint64_t(d)), along);
    double said = 0;
    for (std::int64_t i = 0; i < n; ++i) said += double(t.gradient[std::size_t(i)]) * along[std::size_t(i)];
    double const off = std::abs(said - slope) / norm;
    if (!(off <= t.off)) t.off = off;  // a NaN stays
  }
  found.tensors.push_back(std::move(t));
}

}  // namespace exec

/// Puts a layer or a block through its paces, in fp32 on the CPU: the gradient of its input and of each parameter
/// against finite differences; that a sink with beta 0 is overwritten and one with beta 1 added to; that recomputing
/// gives the same bits; that memory is written before it is read and scratch means nothing between the two halves; and
/// that three members give the bits of one. In one line of a test:
///
///     EXPECT_EQ(tenon::check_gradients<squared_relu<16, 24>>().complaint(), "");
///
/// Not for what decides in steps (where a router sends a row): differences know nothing of a jump.
template <class Layer>
gradient_check check_gradients(gradient_check_options const& o = {}) {
  if constexpr (!nn::stackable<Layer>) static_assert(nn::require_layer<Layer>());
  gradient_check found;
  found.tolerance = o.tolerance;
  exec::gradient_bench<Layer> bench(o, 1);
  auto const bits_differ = [](std::vector<float> const& a, std::vector<float> const& b) {
    return a.size() != b.size() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) != 0;
  };
  auto const expect = [&](bool holds, char const* sentence) {
    if (!holds) found.broken.emplace_back(sentence);
  };
  bench.spoil_all();
  double const sum = bench.forward();
  expect(std::isfinite(sum), "the output is not finite: the forward pass reads memory that nothing has written");
  auto const output = bench.output;
  bench.forward(nn::mode::recompute);
  expect(!bits_differ(output, bench.output), "recomputing gives other bits than the first forward pass");
  bench.backward(0.f);
  auto const gradient = bench.gradient, d_input = bench.d_input;

  typename Layer::template params<nn::described> names{};
  std::int64_t at = 0;
  bool adds = true, overwrites = true;
  auto const first = found.broken.size();
  nn::for_each_named_leaf(names, "", [&](std::string const& name, auto const& p) {
    if (p.parameter_role != nn::role::router_bias)
      exec::check_tensor(found, bench, o, name, bench.values.data() + at, gradient.data() + at, p.size);
    for (std::int64_t i = at; i < at + p.size; ++i) overwrites = overwrites && std::isfinite(gradient[std::size_t(i)]);
    at += nn::align_up(p.size, nn::alignment / 4);
  });
  exec::check_tensor(found, bench, o, "input", bench.input.data(), d_input.data(), std::int64_t(d_input.size()));
  expect(overwrites,
         "a sink with beta 0 is not overwritten everywhere, or the weight half reads scratch that the input half left");

  bench.forward();
  bench.gradient = gradient;
  bench.backward(1.f);
  at = 0;
  nn::for_each_leaf(names, [&](auto const& p) {
    for (std::int64_t i = at; i < at + p.size; ++i) {
      auto const once = gradient[std::size_t(i)], twice = bench.gradient[std::size_t(i)];
      adds = adds && std::abs(twice - 2 * once) <= 1e-5f * std::abs(once) + 1e-6f;
    }
    at += nn::align_up(p.size, nn::alignment / 4);
  });
  expect(adds || found.broken.size() > first, "a sink with beta 1 is not added to");

  exec::gradient_bench<Layer> team(o, 3);
  team.spoil_all();
  team.forward();
  team.backward(0.f);
  expect(
      !bits_differ(output, team.output) && !bits_differ(d_input, team.d_input) && !bits_differ(gradient, team.gradient),
      "three members give other bits than one: a barrier is missing, or sums depend on how rows are divided");
  return found;
}

}  // namespace tenon
