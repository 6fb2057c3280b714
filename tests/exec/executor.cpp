#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "exec/compare.hpp"
#include "support/executor_room.hpp"
#include "support/micro_batch.hpp"
#include "support/toy_executor.hpp"
#include "tenon/exec/cpu/executor.hpp"

/// What the CPU's executor does with one to four members, and with more members than rows, is what plain loops do.

using namespace tenon;

namespace {

constexpr int N = 48, K = 32, V = 40;
template <int Rows, int Cols, int Rank = 2>
using weight = nn::weight<float, Rows, Cols, nn::role::hidden, nn::initializer::normal, Rank>;
template <int Rows, int Cols, int Rank = 2>
using gradient = nn::gradient<Rows, Cols, nn::role::hidden, nn::initializer::normal, Rank>;

struct data {
  std::vector<float> wide, narrow, matrix, vector, more, out_n, out_k, sink, sink_vector, table_sink, inverse, partial;
  std::vector<double> loss;
  random_batch batch;
  explicit data(std::int64_t n)
      : wide(random_values<float>(n * N, 1)), narrow(random_values<float>(n * K, 2)), matrix(random_values<float>(N * K, 3)), vector(random_values<float>(N, 4)),
        more(random_values<float>(n * V, 5)), out_n(random_values<float>(n * N, 6)), out_k(random_values<float>(n * K, 7)), sink(std::size_t(N * K), nan),
        sink_vector(std::size_t(N), nan), table_sink(std::size_t(V * N), nan), inverse(std::size_t(n), 0), partial(std::size_t(nn::num_row_tiles(n) * N), nan), loss(std::size_t(nn::num_row_tiles(n)), 0),
        batch(1, n, V, 9) {}
  static constexpr float nan = std::numeric_limits<float>::quiet_NaN();
};

/// One of everything. First writers meet NaN, second writers add.
void everything(auto& x, data& d) {
  std::int64_t const n = d.batch.sequence;
  auto const b = d.batch.view();
  weight<N, K> w{};
  w.data = d.matrix.data();
  weight<1, N, 1> scale{};
  scale.data = d.vector.data();
  gradient<N, K> g{};
  gradient<1, N, 1> gs{};
  gradient<V, N> gt{};
  g.data = d.sink.data(), gs.data = d.sink_vector.data(), gt.data = d.table_sink.data();
  nn::rows<float, N> const wide{d.wide.data()}, out_n{d.out_n.data()};
  nn::rows<float, K> const narrow{d.narrow.data()}, out_k{d.out_k.data()};
  nn::rows<float, V> const logits{d.more.data()};
  nn::per_tile<float, N> const partial{d.partial.data()};

  x.linear_add(n, narrow, w, out_n);
  x.linear_backward_input(n, wide, w, out_k, 1.f);
  x.barrier();
  x.linear_backward_weight(n, wide, narrow, g);
  g.beta = 1;
  x.barrier();
  x.linear_backward_weight(n, out_n, out_k, g);
  x.barrier();
  x.linear(n, narrow, w, wide);
  x.rmsnorm(n, out_n, scale, wide, nn::rows<float, 1>{d.inverse.data()}, 1e-6f);
  x.rmsnorm_backward(n, out_n, scale, nn::rows<float, 1>{d.inverse.data()}, wide, out_n, partial);
  x.barrier();
  x.add_tiles(n, gs, partial);
  gs.beta = 1;
  x.barrier();
  x.add_tiles(n, gs, partial);
  x.barrier();
  x.embedding_backward(b, out_n, gt);
  gt.beta = 1;
  x.barrier();
  x.embedding_backward(b, wide, gt);
  x.barrier();
  x.cross_entropy_gradient(n, logits, b.targets, 0.25f, logits, nn::per_tile<double, 1>{d.loss.data()});
}

}  // namespace

TEST("every operation gives what plain loops give") {
  for (std::int64_t n : {1, 2, 3, 7, 16, 33, 100}) {
    data plain(n);
    toy_executor t;
    everything(t, plain);
    std::optional<data> alone;
    for (int members = 1; members <= 4; ++members) {
      DOCTEST_INFO(n << " rows, " << members << " members");
      data d(n);
      exec::cpu::team team(members);
      executor_room room(members, n, std::max({N, K, V}));
      auto region = [&](int member) {
        auto x = room.on<float>(team, member);
        everything(x, d);
      };
      team.run(region);
      for (auto [have, want] : {std::pair{&d.wide, &plain.wide}, {&d.out_n, &plain.out_n}, {&d.out_k, &plain.out_k}, {&d.sink, &plain.sink}, {&d.sink_vector, &plain.sink_vector},
                                {&d.table_sink, &plain.table_sink}, {&d.more, &plain.more}, {&d.inverse, &plain.inverse}})
        expect_close(*have, ::wide(*want, {std::int64_t(want->size())}), 1e-5);
      if (members == 1) alone.emplace(d);
      for (auto member : {&data::wide, &data::out_n, &data::out_k, &data::sink, &data::sink_vector, &data::table_sink, &data::more, &data::inverse})
        EXPECT(d.*member == (*alone).*member);  // the same bits for any number of members
      EXPECT(d.loss == alone->loss);
      double loss = 0;
      for (double l : d.loss) loss += l;
      EXPECT_NEAR(loss, plain.loss[0], 1e-5 * (1 + plain.loss[0]));
    }
  }
}

TEST("rows of the table that no token names get exact zeros from the first writer") {
  data d(5);
  exec::cpu::team team(3);
  auto region = [&](int member) {
    exec::cpu::executor<float> x(team, member, nullptr, nullptr);
    gradient<V, N> g{};
    g.data = d.table_sink.data();
    x.embedding_backward(d.batch.view(), nn::rows<float, N>{d.wide.data()}, g);
  };
  team.run(region);
  for (int v = 0; v < V; ++v)
    if (std::find(d.batch.tokens.begin(), d.batch.tokens.end(), v) == d.batch.tokens.end())
      for (int j = 0; j < N; ++j) REQUIRE(d.table_sink[std::size_t(v * N + j)] == 0.f);
}

TEST("a 16-bit result is the fp32 result, rounded") {
  std::int64_t const n = 150;  // more than the rows that are narrowed at a time
  auto const in = random_values<nn::bf16>(n * K, 1), w = random_values<nn::bf16>(N * K, 2);
  for (int members : {1, 2, 40}) {
    std::vector<nn::bf16> out(std::size_t(n * N));
    std::vector<float> whole(out.size());
    executor_room room(members, n, std::max(N, K));
    exec::cpu::team team(members);
    auto region = [&](int member) {
      auto x = room.on<nn::bf16>(team, member);
      nn::weight<nn::bf16, N, K, nn::role::hidden, nn::initializer::normal, 2> m{};
      m.data = w.data();
      nn::rows<nn::bf16, K> const from{const_cast<nn::bf16*>(in.data())};
      x.linear(n, from, m, nn::rows<nn::bf16, N>{out.data()});
      x.linear(n, from, m, nn::rows<float, N>{whole.data()});
    };
    team.run(region);
    auto const x = wide(in, {n, K}), y = at::matmul(x, wide(w, {N, K}).t());
    expect_close(whole, y, 1e-5);
    expect_close(out, y, 0x1p-8);
  }
}
