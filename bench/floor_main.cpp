// The floor of a workload's step, under the orders of compare.py (orders.hpp): the matrix products of the step's linear
// layers and one optimizer pass over the flat buffers, nothing else.
//
//   bench_floor WORKLOAD [--own] [--threads N]
//
// The products are derived from the recipe: three for each weight matrix (output, input gradient, weight gradient), in
// the step's order, on memory of the step's size. They are called as the engine calls a library, each of the team's members
// on its part and with one thread of the BLAS's; --own: with the engine's own kernels. Attention, norms and the loss are no
// part of the floor. `run N` tells the milliseconds of the whole, and where a peer tells loss and norm, those of products and optimizer.
#include <ATen/Parallel.h>
#include <tenon/tenon.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "orders.hpp"
#include "product.hpp"
#include "workloads.hpp"

namespace {

namespace tn = tenon;
namespace cpu = tenon::exec::cpu;
namespace nn = tenon::nn;
using bench::json;

/// f.operator()<Outputs, Inputs>() for each weight matrix that rows are multiplied with, in the order of the forward pass.
template <auto const& R, class F>
void for_each_matrix(F&& f) {
  constexpr auto& m = R.model;
  constexpr int hidden = m.hidden, inner = m.intermediate, kv = m.hidden / m.heads * m.kv(), vocab = m.vocab;
  for (int layer = 0; layer < m.layers; ++layer) {
    f.template operator()<hidden, hidden>();
    f.template operator()<kv, hidden>();
    f.template operator()<kv, hidden>();
    f.template operator()<hidden, hidden>();
    f.template operator()<inner, hidden>();
    f.template operator()<inner, hidden>();
    f.template operator()<hidden, inner>();
  }
  f.template operator()<vocab, hidden>();
}

template <auto const& R>
class floor_of {
  using trainer = tn::train::trainer<R>;
  static constexpr std::int64_t rows = R.batch.micro.count * R.batch.sequence.count;
  static constexpr int passes = int(R.batch.global.count / R.batch.micro.count);
  static constexpr std::int64_t widest = std::max<std::int64_t>(R.model.vocab, std::max<int>(R.model.hidden, R.model.intermediate));

 public:
  explicit floor_of(int threads, bool own)
      : trainer_(R, threads, tn::total_steps(R.horizon, R.batch)), own_(own), in_(rows * widest * 4), d_out_(rows * widest * 4), result_(rows * widest * 4) {
    // What is read is never written: values that grew or vanished from step to step would change the time.
    for (auto* b : {&in_, &d_out_})
      for (std::int64_t i = 0; i < rows * widest; ++i) b->template as<float>()[i] = 0.01f * float(i % 7 - 3);
  }

  /// Milliseconds of the products and of the optimizer pass.
  std::pair<double, double> run() {
    auto const start = bench::clock_type::now();
    auto products = [&](int member) {
      auto x = trainer_.engine().on(trainer_.team(), member);
      for (int pass = 0; pass < passes; ++pass) all_products(x, pass == 0 ? 0.f : 1.f);
    };
    trainer_.team().run(products);
    auto const middle = bench::clock_type::now();
    auto update = [&](int member) {
      auto x = trainer_.engine().on(trainer_.team(), member);
      one_update(x);
    };
    trainer_.team().run(update);
    auto const end = bench::clock_type::now();
    using ms = std::chrono::duration<double, std::milli>;
    return {ms(middle - start).count(), ms(end - middle).count()};
  }

 private:
  template <int N, int K>
  using matrix = nn::weight<float, N, K, nn::role::hidden, nn::initializer::normal, 2>;

  template <class X>
  void all_products(X& x, float beta) {
    auto const* const w = trainer_.engine().master();
    auto* const g = trainer_.engine().gradient();
    auto const limit = trainer_.engine().size();
    std::int64_t at = 0;
    auto const place = [&](std::int64_t size) {  // a matrix of its own for each layer, as in the step
      if (at + size > limit) at = 0;
      auto const here = at;
      at += size;
      return here;
    };
    for_each_matrix<R>([&]<int N, int K>() { forward<N, K>(x, w + place(std::int64_t{N} * K)); });
    at = 0;
    for_each_matrix<R>([&]<int N, int K>() {
      auto const here = place(std::int64_t{N} * K);
      backward<N, K>(x, w + here, g + here, beta);
    });
  }
  template <int N, int K, class X>
  void forward(X& x, float const* w) {
    auto *const in = in_.template as<float>(), *const out = result_.template as<float>();
    if (own_) {
      x.linear(rows, nn::rows<float, K>{in}, matrix<N, K>{w}, nn::rows<float, N>{out});
    } else {
      auto const r = x.part(rows);
      cpu::gemm(cpu::op::none, cpu::op::transpose, r.size(), N, K, in + r.first * K, K, w, K, 0.f, out + r.first * N, N);
    }
  }
  template <int N, int K, class X>
  void backward(X& x, float const* w, float* g, float beta) {
    auto *const in = in_.template as<float>(), *const d_out = d_out_.template as<float>(), *const d_in = result_.template as<float>();
    if (own_) {
      x.linear_backward_input(rows, nn::rows<float, N>{d_out}, matrix<N, K>{w}, nn::rows<float, K>{d_in}, 0.f);
      x.linear_backward_weight(rows, nn::rows<float, N>{d_out}, nn::rows<float, K>{in}, nn::gradient<N, K, nn::role::hidden, nn::initializer::normal, 2>{g, beta});
    } else {
      auto const r = x.part(rows), c = x.part(N, 16);
      cpu::gemm(cpu::op::none, cpu::op::none, r.size(), K, N, d_out + r.first * N, N, w, K, 0.f, d_in + r.first * K, K);
      cpu::gemm(cpu::op::transpose, cpu::op::none, c.size(), K, rows, d_out + c.first, N, in, K, beta, g + c.first * K, K);
    }
  }
  template <class X>
  void one_update(X& x) {
    auto& t = trainer_;
    auto const mine = x.part(t.engine().size(), 1024);
    auto const constants = trainer::optimizer::prepare(t.recipe().optimizer, 0.0, 1, 1.f);
    tn::optim::for_each_region(regions_, mine.first, mine.last, [&](std::int64_t first, std::int64_t last, bool) {
      trainer::optimizer::update(constants, t.optimizer_state(), t.engine().master(), t.engine().gradient(), t.engine().copy(), first, last, false);
    });
  }

  trainer trainer_;
  std::vector<tn::optim::region> regions_ = tn::optim::regions(trainer_.engine().places(), trainer_.engine().size());
  bool own_;
  tn::exec::buffer in_, d_out_, result_;
};

template <auto const& R>
int serve(bench::arguments const& o, bool own) {
  tn::app::require_isa();
  at::set_num_threads(1);  // the team's members are the threads: a BLAS on OpenMP must not start more for each of them
  floor_of<R> floor(o.threads, own);
  bench::answer({{"ready", own ? "floor, own" : "floor"}, {"workload", o.workload}, {"version", "LibTorch " + tn::app::machine_facts(o.threads).libtorch},
                 {"blas", own ? "tenon's own" : tn::app::machine_facts(o.threads).blas}, {"threads", o.threads}});
  return bench::obey(
      o.dir,
      [&]() -> bench::stepped {
        auto const [p, u] = floor.run();
        return {p, u};  // the parts stand where a peer tells loss and norm
      },
      bench::product_rate, [](std::vector<double> const&) {});
}

}  // namespace

int main(int argc, char** argv) {
  return bench::guarded([&] {
    bool own = false;
    bench::arguments const o(argc, argv, "bench_floor WORKLOAD [--own] [--threads N]", [&](std::string const& word, auto&&) { return word == "--own" && (own = true); });
    return workloads::with(o.workload, [&]<auto const& R>() { return serve<R>(o, own); });
  });
}
