// Where the time of a workload's step goes: GEMM, attention, elementwise (norms, rotary, SwiGLU, embedding), loss,
// optimizer (norm of the gradient included), waiting at barriers, and the rest.
//
//   bench_split WORKLOAD [--threads N] [--seconds S]
//
// The step is tenon's own, whole. Between it and its operations stands an executor that reads the clock, and the team's
// barrier reads it, too, so waiting inside an operation counts as waiting. What the clock itself costs shows in the
// comparison of the step's time with bench_step's.
#include <ATen/Parallel.h>

#include "split/executor.hpp"

#include <tenon/tenon.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "batches.hpp"
#include "orders.hpp"
#include "workloads.hpp"

namespace {

namespace tn = tenon;

/// tenon's engine, which gives its layers the executor with the clock.
template <class Engine>
struct engine {
  Engine& plain;
  auto on(tn::exec::cpu::team& t, int member) const { return split::executor<typename Engine::compute>(plain.on(t, member)); }
  void clear_loss(auto& x) const { plain.clear_loss(x); }
  double loss_sum() const { return plain.loss_sum(); }
  void forward_backward(auto& x, tn::nn::micro_batch b, float seed, bool first) const {
    split::mine->enter(split::rest);
    b.rotary_cos = plain.memory().rotary_cos, b.rotary_sin = plain.memory().rotary_sin;
    Engine::model::forward_backward(x, plain.store(), b, plain.memory().saved, plain.memory().scratch, seed, first);
    split::mine->enter(split::optimizer);  // until the region's end, or the next micro-batch
  }
  auto size() const { return plain.size(); }
  auto master() const { return plain.master(); }
  auto gradient() const { return plain.gradient(); }
  auto copy() const { return plain.copy(); }
};

/// tenon's team; each member's region is one entry in its ledger.
struct team {
  tn::exec::cpu::team& plain;
  std::vector<split::ledger>& ledgers;
  int size() const { return plain.size(); }
  void barrier() { plain.barrier(); }
  operator tn::exec::cpu::team&() const { return plain; }
  template <class F>
  void run(F& f) {
    auto region = [&](int member) {
      split::mine = &ledgers[std::size_t(member)];
      split::mine->begin();
      f(member);
      plain.barrier();  // members wait here for the slowest
      split::mine->end();
    };
    plain.run(region);
  }
};

/// What tenon::train::step drives: tenon's trainer, with this engine and this team.
template <auto const& R>
struct trainer : tn::train::trainer<R> {
  using base = tn::train::trainer<R>;
  using base::base;
  auto engine() { return ::engine<typename base::engine_type>{base::engine()}; }
  auto team() { return ::team{base::team(), ledgers}; }
  template <class F>
  void run_step(F& region) {
    team().run(region);
  }
  std::vector<split::ledger> ledgers;
};

template <auto const& R>
int serve(bench::arguments const& o, double seconds) {
  tn::app::require_isa();
  at::set_num_threads(o.threads);
  trainer<R> t(R, o.threads, tn::total_steps(R.horizon, R.batch));
  t.ledgers.resize(std::size_t(o.threads));
  bench::batches const data(R.batch.global.count, R.batch.sequence.count, R.model.vocab);
  std::fprintf(stderr, "%s: steps for %g seconds\n", o.workload.c_str(), seconds);
  for (int i = 0; i < 3; ++i) tn::train::step(t, data.at(i));
  std::vector<std::array<double, split::num_categories>> shares;  // of each step, milliseconds: the members' mean
  std::vector<double> steps;
  for (auto const begin = bench::clock_type::now(); steps.empty() || bench::milliseconds_since(begin) < 1000 * seconds;) {
    std::fill(t.ledgers.begin(), t.ledgers.end(), split::ledger{});
    auto const start = bench::clock_type::now();
    tn::train::step(t, data.at(t.progress().step));
    steps.push_back(bench::milliseconds_since(start));
    shares.emplace_back();
    for (std::size_t c = 0; c < split::num_categories; ++c)
      for (auto const& l : t.ledgers) shares.back()[c] += 1e3 * l.seconds[c] / double(o.threads);
  }
  auto const median = [](std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
  };
  std::printf("%s, %d threads, %zu steps: %.2f ms median, %.2f ms least. Mean of the threads:\n\n| part | median ms | least ms | share of the medians %% |\n| --- | --- | --- | --- |\n",
              o.workload.c_str(), o.threads, steps.size(), median(steps), *std::min_element(steps.begin(), steps.end()));
  std::array<std::vector<double>, split::num_categories> parts;
  double sum = 0;
  for (std::size_t c = 0; c < split::num_categories; ++c) {
    for (auto const& s : shares) parts[c].push_back(s[c]);
    sum += median(parts[c]);
  }
  for (std::size_t c = 0; c < split::num_categories; ++c)
    std::printf("| %s | %.2f | %.2f | %.1f |\n", split::names[c], median(parts[c]), *std::min_element(parts[c].begin(), parts[c].end()), 100 * median(parts[c]) / sum);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::guarded([&] {
    double seconds = 5;
    bench::arguments const o(argc, argv, "bench_split WORKLOAD [--threads N] [--seconds S]", [&](std::string const& word, auto&& value) {
      if (word == "--seconds") return seconds = std::stod(value()), true;
      return false;
    });
    return workloads::with(o.workload, [&]<auto const& R>() { return serve<R>(o, seconds); });
  });
}
