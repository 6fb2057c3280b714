#include "support/micro_batch.hpp"
#include "support/reference_model.hpp"
#include "support/test.hpp"
#include "tenon/exec/activations.hpp"
#include "tenon/exec/cpu/executor.hpp"
#include "tenon/exec/store.hpp"
#include "tenon/models/deepseek_llm.hpp"

using namespace tenon;

namespace {

template <int Kv, bool Tied, int Every = 0>
using dense = models::deepseek_llm<96, 48, 3, 6, Kv, 80, 64, Tied, nn::bits(1e-6), Every>;

template <class Model, class Compute>
struct rig {
  exec::parameter_store<Model, Compute> store;
  exec::cpu::team team;
  exec::activations<Model, Compute> memory;
  std::int64_t rows;
  explicit rig(int threads, std::int64_t num_rows = 4 * 40)
      : team(threads), memory(num_rows, threads, Model::positions, 10000), rows(num_rows) {
    store.initialise(7, 0.2);
    auto const places = exec::parameter_places<Model>();
    random_stream const random(3, "norms");
    for (auto const& p : places)
      if (p.parameter_role == nn::role::norm)
        for (std::int64_t i = 0; i < p.size(); ++i)
          store.master()[p.offset + i] = float(1 + 0.3 * random.normal(std::uint64_t(p.offset + i)));
    store.refresh_copy();
  }
  double step(std::vector<random_batch> const& batches) {
    std::int64_t count = 0;
    for (auto const& b : batches) count += b.count();
    auto region = [&](int member) {
      exec::cpu::executor<Compute> x(team, member, memory.workspace(member), memory.shared());
      nn::clear_tiles(x, memory.saved.head.loss, rows);
      bool first = true;
      for (auto const& b : batches) {
        Model::forward_backward(x, store, b.view(memory.rotary_cos, memory.rotary_sin), memory.saved, memory.scratch,
                                1.f / float(count), first);
        first = false;
      }
    };
    team.run(region);
    return nn::sum_of_tiles(memory.saved.head.loss, rows) / double(count);
  }
};

at::Tensor ids(std::vector<std::int32_t> const& v) {
  return at::from_blob(const_cast<std::int32_t*>(v.data()), {std::int64_t(v.size())}, at::kInt).to(at::kLong);
}

/// Loss and gradients by autograd in fp64, on the values the store holds.
template <class Model, class Store>
std::pair<double, reference::parameters> autograd(Store const& store, std::vector<random_batch> const& batches,
                                                  int kv_heads) {
  reference::parameters p;
  for (auto const& place : exec::parameter_places<Model>()) {
    auto t = at::zeros({place.rows, place.cols}, at::kDouble);
    for (std::int64_t i = 0; i < place.size(); ++i)
      t.template mutable_data_ptr<double>()[i] = double(nn::widen(store.compute()[place.offset + i]));
    p[place.name] = (place.rank == 1 ? t.view({place.cols}) : t).requires_grad_(true);
  }
  reference::shape const s{Model::layers, 6, kv_heads, Model::tied};
  double loss = 0;
  std::int64_t count = 0;
  for (auto const& b : batches) count += b.count();
  for (auto const& b : batches) {
    auto const out =
        reference::logits(p, s, ids(b.tokens), ids(b.positions), ids(b.document_start), b.samples, b.sequence);
    auto const sum = at::cross_entropy_loss(out, ids(b.targets), {}, /*reduction: sum*/ 2, -1) / double(count);
    sum.backward();
    loss += sum.template item<double>();
  }
  return {loss, p};
}

template <class Model, class Compute>
void compare(int threads, int kv_heads, double loss_tolerance, double gradient_tolerance) {
  std::vector<random_batch> const batches{{4, 40, 96, 1}, {3, 40, 96, 2}};  // unequal counts, unequal sizes
  rig<Model, Compute> r(threads);
  double const loss = r.step(batches);
  auto const [expected, p] = autograd<Model>(r.store, batches, kv_heads);
  EXPECT_NEAR(loss, expected, loss_tolerance * expected);
  for (auto const& place : exec::parameter_places<Model>()) {
    auto const g = p.at(place.name).grad().contiguous();
    double difference = 0, norm = 0;
    for (std::int64_t i = 0; i < place.size(); ++i) {
      double const want = g.template const_data_ptr<double>()[i], have = r.store.gradient()[place.offset + i];
      difference += (want - have) * (want - have), norm += want * want;
    }
    DOCTEST_INFO(place.name);
    EXPECT(norm > 0);
    EXPECT(std::sqrt(difference / norm) <= gradient_tolerance);
  }
}

}  // namespace

TEST("loss and every gradient equal autograd's: fp32, 1e-5 relative") {
  SUBCASE("untied, grouped queries, two members") { compare<dense<2, false>, float>(2, 2, 1e-5, 1e-5); }
  SUBCASE("tied, one member") { compare<dense<6, true>, float>(1, 6, 1e-5, 1e-5); }
  SUBCASE("tied, one key head, three members") { compare<dense<1, true>, float>(3, 1, 1e-5, 1e-5); }
  SUBCASE("recomputing each block") { compare<dense<2, false, 1>, float>(2, 2, 1e-5, 1e-5); }
  SUBCASE("recomputing segments of two") { compare<dense<2, false, 2>, float>(2, 2, 1e-5, 1e-5); }
}

TEST("16-bit compute agrees with autograd on the same rounded weights") {
  SUBCASE("bf16: 8 bits of mantissa") { compare<dense<2, false>, nn::bf16>(2, 2, 5e-3, 6e-2); }
  SUBCASE("fp16: 11 bits") { compare<dense<2, true>, nn::fp16>(2, 2, 1e-3, 6e-3); }
}

TEST("recomputation changes no bit") {
  std::vector<random_batch> const batches{{4, 40, 96, 1}, {2, 40, 96, 2}};
  rig<dense<2, false>, nn::bf16> keep(2);
  rig<dense<2, false, 1>, nn::bf16> each(2);
  rig<dense<2, false, 2>, nn::bf16> segments(2);
  double const loss = keep.step(batches);
  EXPECT_EQ(loss, each.step(batches));
  EXPECT_EQ(loss, segments.step(batches));
  auto const bytes = std::size_t(keep.store.size) * sizeof(float);
  EXPECT(std::memcmp(keep.store.gradient(), each.store.gradient(), bytes) == 0);
  EXPECT(std::memcmp(keep.store.gradient(), segments.store.gradient(), bytes) == 0);
}

TEST("N1: micro-batches with unequal token counts give the gradient of one big batch") {
  random_batch const a(2, 40, 96, 1), b(2, 40, 96, 2);
  random_batch both = a;
  for (auto [to, from] : {std::pair{&both.tokens, &b.tokens},
                          {&both.targets, &b.targets},
                          {&both.positions, &b.positions},
                          {&both.document_start, &b.document_start}})
    to->insert(to->end(), from->begin(), from->end());
  both.samples = 4;
  REQUIRE(a.count() != b.count());
  rig<dense<2, false>, float> parts(2), whole(2);
  EXPECT_NEAR(parts.step({a, b}), whole.step({both}), 1e-6);
  double difference = 0, norm = 0;
  for (std::int64_t i = 0; i < parts.store.size; ++i) {
    double const d = double(parts.store.gradient()[i]) - whole.store.gradient()[i];
    difference += d * d, norm += double(whole.store.gradient()[i]) * whole.store.gradient()[i];
  }
  EXPECT(std::sqrt(difference / norm) < 1e-6);
}

TEST("the same bits every time, for the same number of members") {
  std::vector<random_batch> const batches{{4, 40, 96, 1}};
  rig<dense<2, false>, float> one(2), two(2);
  EXPECT_EQ(one.step(batches), two.step(batches));
  EXPECT(std::memcmp(one.store.gradient(), two.store.gradient(), std::size_t(one.store.size) * 4) == 0);
}
