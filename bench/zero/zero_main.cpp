// What the generic layers cost: forward and backward pass as tenon composes them, against the same kernels called by hand
// (by_hand.hpp), on one thread. Both must give the same bits. zero.sh counts the instructions of each under callgrind.
//
//   bench_zero [generic|by_hand] [STEPS]     makes that one's steps, for callgrind
//   bench_zero                               compares the bits and times both in turns
#include <ATen/Parallel.h>
#include <tenon/tenon.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "batches.hpp"
#include "orders.hpp"
#include "workloads.hpp"
#include "zero/by_hand.hpp"

namespace {

namespace tn = tenon;

constexpr auto& recipe = workloads::w0;
using trainer = tn::train::trainer<recipe>;

struct both {
  trainer t{recipe, 1, tn::total_steps(recipe.horizon, recipe.batch)};
  zero::by_hand<recipe> hand{t.engine()};
  bench::batches data{recipe.batch.global.count, recipe.batch.sequence.count, recipe.model.vocab};
  float seed = float(1.0 / double(data.at(0).num_targets));

  tn::nn::micro_batch batch() const {
    auto b = tn::train::rows_of(data.at(0), 0, recipe.batch.micro.count);
    b.rotary_cos = t.engine().memory().rotary_cos, b.rotary_sin = t.engine().memory().rotary_sin;
    return b;
  }
};

}  // namespace

// Names that callgrind is told to count in.
extern "C" {
[[gnu::noinline]] void zero_generic(both& s, trainer::engine_type::executor& x, tn::nn::micro_batch const& b) {
  s.t.engine().forward_backward(x, b, s.seed, true);
}
[[gnu::noinline]] void zero_by_hand(both& s, trainer::engine_type::executor& x, tn::nn::micro_batch const& b) {
  s.hand.forward_backward(x, b, s.seed, s.t.engine().memory().saved.head.loss);
}
}

namespace {

/// Runs f(executor, batch) in the team's region.
template <class F>
void run(both& s, F&& f) {
  auto const b = s.batch();
  auto region = [&](int member) {
    auto x = s.t.engine().on(s.t.team(), member);
    s.t.engine().clear_loss(x);
    f(x, b);
  };
  s.t.team().run(region);
}

int compare(both& s) {
  auto const generic = [&](auto& x, auto const& b) { zero_generic(s, x, b); };
  auto const hand = [&](auto& x, auto const& b) { zero_by_hand(s, x, b); };
  auto const size = s.t.engine().size();
  auto const* const g = s.t.engine().gradient();
  run(s, generic);
  std::vector<float> const first(g, g + size);
  auto const loss = s.t.engine().loss_sum();
  std::fill(s.t.engine().gradient(), s.t.engine().gradient() + size, 0.f);
  run(s, hand);
  if (loss != s.t.engine().loss_sum() || std::memcmp(first.data(), g, std::size_t(size) * 4) != 0)
    throw tn::error("the pass by hand gives other bits than the generic one; by_hand.hpp no longer follows the layers");
  std::vector<double> a, b;
  auto const time = [&](auto& f, std::vector<double>& to) {
    auto const start = bench::clock_type::now();
    run(s, f);
    to.push_back(bench::milliseconds_since(start));
  };
  for (int i = 0; i < 2000; ++i) time(generic, a), time(hand, b), time(hand, b), time(generic, a);
  std::sort(a.begin(), a.end()), std::sort(b.begin(), b.end());
  std::printf("same bits; forward and backward pass of w0 on one thread: generic %.4f ms median, %.4f least; by hand %.4f ms median, %.4f least\n",
              a[a.size() / 2], a[0], b[b.size() / 2], b[0]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::guarded([&] {
    tn::app::require_isa();
    at::set_num_threads(1);
    both s;
    if (argc == 1) return compare(s);
    std::string const which = argv[1];
    if (which != "generic" && which != "by_hand") throw tn::error("'" + which + "' is neither generic nor by_hand");
    for (int i = 0, steps = argc > 2 ? std::stoi(argv[2]) : 10; i < steps; ++i)
      run(s, [&](auto& x, auto const& b) { which == "generic" ? zero_generic(s, x, b) : zero_by_hand(s, x, b); });
    return 0;
  });
}
