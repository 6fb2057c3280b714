// K3: a state goes into another one only by rules that say where each tensor comes from and what becomes of each that was
// there; whatever they leave open is an error that names the tensor.
#include "tenon/checkpoint/state_move.hpp"

#include <cstring>
#include <deque>

#include "support/test.hpp"

using namespace tenon;
using namespace tenon::checkpoint;

namespace {

/// Tensors in memory, as a checkpoint's files hold them.
struct stored {
  std::deque<std::vector<float>> reals;
  std::deque<std::int64_t> integers;
  std::map<std::string, stored_tensor> tensors;
  void add(std::string name, std::vector<std::int64_t> shape, std::vector<float> values) {
    auto const& kept = reals.emplace_back(std::move(values));
    tensors.emplace(std::move(name), stored_tensor{dtype::F32, std::move(shape), std::as_bytes(std::span(kept))});
  }
  void add(std::string name, std::int64_t value) {
    tensors.emplace(std::move(name), stored_tensor{dtype::I64, {}, std::as_bytes(std::span(&integers.emplace_back(value), 1))});
  }
};

/// The state that the rules write into; every element is 9 before.
struct wanted {
  std::deque<std::vector<float>> reals;
  std::deque<std::int64_t> integers;
  std::vector<tensor_target> targets;
  std::vector<float>& add(std::string name, std::vector<std::int64_t> shape) {
    std::size_t n = 1;
    for (auto const s : shape) n *= std::size_t(s);
    auto& room = reals.emplace_back(n, 9.f);
    targets.push_back({std::move(name), dtype::F32, std::move(shape), room.data()});
    return room;
  }
  std::int64_t& add(std::string name) {
    auto& room = integers.emplace_back(9);
    targets.push_back({std::move(name), dtype::I64, {}, &room});
    return room;
  }
};

using floats = std::vector<float>;

/// A table of three rows, two blocks and a count.
stored small() {
  stored s;
  s.add("table", {3, 2}, {1, 2, 3, 4, 5, 9});
  s.add("block.0.w", {2}, {1, -1}), s.add("block.1.w", {2}, {2, -2});
  s.add("count", 7);
  return s;
}

}  // namespace

TEST("the first rule that names a tensor says where it comes from") {
  auto const old = small();
  wanted now;
  auto &table = now.add("table", {5, 2}), &first = now.add("block.0.w", {2}), &second = now.add("block.1.w", {2}),
       &third = now.add("block.2.w", {2}), &extra = now.add("extra", {2}), &fresh = now.add("fresh", {3});
  auto& count = now.add("count");
  state_move m;
  m.grown("table", new_rows::mean);
  m.filled("block.0.w", -0.5);
  m.copied("block.2.*", "block.1.*");
  m.filled("extra", 0.25);
  m.initial("fresh");
  m.same("*");
  m.dropped("block.0.w");
  m.apply(old.tensors, now.targets);
  EXPECT((table == floats{1, 2, 3, 4, 5, 9, 3, 5, 3, 5}));
  EXPECT((first == floats{-0.5f, -0.5f} && second == floats{2, -2} && third == floats{2, -2}));
  EXPECT((extra == floats{0.25f, 0.25f} && fresh == floats{9, 9, 9}));
  EXPECT_EQ(count, 7);
}

TEST("rows that are new are zero, or stay what the initialiser made of them; a function may compute any shape") {
  stored old;
  old.add("a", {1, 2}, {1, 2}), old.add("b", {1, 2}, {3, 4}), old.add("c", {4}, {1, 2, 3, 4});
  old.add("n", 5);
  wanted now;
  auto &a = now.add("a", {2, 2}), &b = now.add("b", {2, 2}), &c = now.add("c", {2});
  auto& n = now.add("n");
  state_move m;
  m.grown("a", new_rows::zero), m.grown("b", new_rows::initial), m.filled("n", 3), m.dropped("n");
  m.computed("c", [](shaped_values<float const> from, shaped_values<float> to) {
    for (std::size_t i = 0; i < to.values.size(); ++i) to.values[i] = from.values[2 * i] + float(from.shape[0]);
  });
  m.apply(old.tensors, now.targets);
  EXPECT((a == floats{1, 2, 0, 0} && b == floats{3, 4, 9, 9} && c == floats{5, 7}));
  EXPECT_EQ(n, 3);
}

TEST("moments go from fp32 to bf16 rounded, and back widened; nothing else changes its dtype") {
  stored old;
  old.add("a.exp_avg", {3}, {1.f + 0x1p-9f, -2.5f, 1e-30f});
  std::vector<std::uint16_t> half(3, 7);
  std::vector<tensor_target> targets{{"a.exp_avg", dtype::BF16, {3}, half.data()}};
  state_move m;
  m.same("*");
  m.apply(old.tensors, targets);
  EXPECT_EQ(half[0], 0x3f80);  // 1: half a unit in the last place is 2^-8
  EXPECT_EQ(half[1], 0xc020);
  std::map<std::string, stored_tensor> const narrow{{"a.exp_avg", {dtype::BF16, {3}, std::as_bytes(std::span(half))}}};
  floats wide(3, 9.f);
  std::vector<tensor_target> const back{{"a.exp_avg", dtype::F32, {3}, wide.data()}};
  state_move again;
  again.same("*");
  again.apply(narrow, back);
  EXPECT(wide[0] == 1.f);
  EXPECT(wide[1] == -2.5f);
  EXPECT_NEAR(wide[2], 1e-30, 1e-30 / 256);
  std::int64_t number = 0;
  std::vector<tensor_target> const other{{"a.exp_avg", dtype::I64, {3}, &number}};
  state_move wrong;
  wrong.same("*");
  EXPECT_THROWS_WITH(wrong.apply(narrow, other), "they have different dtypes");
  state_move filled;
  filled.filled("*", 1.5), filled.dropped("*");
  filled.apply(old.tensors, targets);
  EXPECT_EQ(half[2], 0x3fc0);
}

TEST("whatever the rules leave open is refused by name") {
  auto const old = small();
  auto const refused = [&](auto rules, auto more) {
    wanted now;
    now.add("table", {3, 2}), now.add("block.0.w", {2}), now.add("block.1.w", {2}), now.add("count");
    more(now);
    state_move m;
    rules(m);
    m.apply(old.tensors, now.targets);
  };
  auto const nothing = [](wanted&) {};
  refused([](state_move& m) { m.same("*"); }, nothing);
  EXPECT_THROWS_WITH(refused([](state_move& m) { m.same("block.*"), m.same("count"); }, nothing), "says nothing of 'table'");
  EXPECT_THROWS_WITH(refused([](state_move& m) { m.initial("table"), m.same("*"); }, nothing),
                     "holds 'table', which no rule of the migration takes");
  EXPECT_THROWS_WITH(refused([](state_move& m) { m.same("*"), m.filled("table", 1); }, nothing),
                     "a rule of the migration names 'table', and no tensor");
  EXPECT_THROWS_WITH(refused([](state_move& m) { m.copied("table", "tabel"), m.same("*"); }, nothing),
                     "takes 'table' from 'tabel', which the checkpoint does not hold");
  EXPECT_THROWS_WITH(refused([](state_move& m) { m.same("*"); }, [](wanted& w) { w.add("late", {1}); }),
                     "takes 'late' from 'late', which the checkpoint does not hold");
  EXPECT_THROWS_WITH(refused([](state_move& m) { m.copied("late", "table"), m.same("*"); }, [](wanted& w) { w.add("late", {2, 3}); }),
                     "of shape [2, 3], from 'table', of shape [3, 2]");
  EXPECT_THROWS_WITH(refused([](state_move& m) { m.copied("late", "count"), m.same("*"); }, [](wanted& w) { w.add("late", {1}); }),
                     "different dtypes");
  auto const grows = [](state_move& m) { m.grown("late", new_rows::zero), m.same("*"); };
  EXPECT_THROWS_WITH(refused(grows, [](wanted& w) { w.add("late", {4, 2}); }), "which the checkpoint does not hold");
  for (std::vector<std::int64_t> const& shape : {std::vector<std::int64_t>{2, 2}, {4, 3}, {8}}) {
    wanted now;
    now.add("table", shape);
    state_move m;
    m.grown("table", new_rows::zero), m.dropped("*");
    EXPECT_THROWS_WITH(m.apply(old.tensors, now.targets), "m.grown adds rows and nothing else");
  }
  state_move m;
  EXPECT_THROWS_WITH(m.same("a*b*"), "more than one '*'");
}
