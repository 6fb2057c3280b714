#include "support/test.hpp"

#include <cstring>
#include <thread>

#include "support/micro_batch.hpp"
#include "support/toy_executor.hpp"
#include "support/toy_passes.hpp"
#include "support/toy_reference.hpp"
#include "support/toy_stores.hpp"
#include "tenon/exec/activations.hpp"
#include "tenon/exec/cpu/executor.hpp"

/// The layer contract (docs/design.md), proven on two models: the toy one, which holds what is hard to carry (a tied
/// matrix, routed experts of which one gets no token, a module under autograd), and the library's decoder. Every gradient
/// is compared with LibTorch's autograd in fp64.

using namespace tenon;

namespace {

template <bool Tied>
using decoder = models::deepseek_llm<61, 16, 4, 4, 2, 24, 32, Tied, nn::bits(1e-6)>;
constexpr double theta = 10000;

template <class Model>
struct values : exec::parameter_store<Model, float> {
  explicit values(std::uint64_t seed) {
    this->initialise(seed, 0.3);
    random_stream const random(seed, "norms");
    for (auto const& p : exec::parameter_places<Model>())
      if (p.parameter_role == nn::role::norm)
        for (std::int64_t i = 0; i < p.size(); ++i) this->master()[p.offset + i] = float(1 + 0.3 * random.normal(std::uint64_t(p.offset + i)));
    std::memset(this->gradient(), 0xff, std::size_t(this->size) * 4);  // NaN: nothing is cleared beforehand
  }
};

/// Two micro-batches of unequal sizes and unequal counts of targets.
template <class Model>
std::vector<random_batch> unequal() {
  std::vector<random_batch> b{{3, 20, Model::vocab, 1}, {2, 20, Model::vocab, 2}};
  REQUIRE(b[0].count() != b[1].count());
  return b;
}
double total(std::vector<random_batch> const& batches) {
  double n = 0;
  for (auto const& b : batches) n += double(b.count());
  return n;
}

/// f(executor, memory) on plain loops, or on the CPU's team.
template <class Model, class F>
double on_plain_loops(F&& f) {
  exec::activations<Model, float> memory(60, 1, Model::positions, theta);
  toy_executor x;
  f(x, memory);
  return *memory.saved.head.loss.row(0);
}
template <class Model, class F>
double on_team(int members, F&& f) {
  exec::cpu::team team(members);
  exec::activations<Model, float> memory(60, members, Model::positions, theta);
  auto region = [&](int member) {
    exec::cpu::executor<float> x(team, member, memory.workspace(member), memory.shared());
    f(x, memory);
  };
  team.run(region);
  return nn::sum_of_tiles(memory.saved.head.loss, 60);
}

template <class Model>
void accumulate(int members) {
  auto const batches = unequal<Model>();
  values<Model> store(5);
  auto const step = [&](auto& x, auto& memory) {
    for (auto const& b : batches)
      toy::passes<Model>::forward_backward(x, store, b.view(memory.rotary_cos, memory.rotary_sin), memory.saved, memory.scratch,
                                           float(1 / total(batches)), &b == &batches[0]);
  };
  double const loss = (members == 0 ? on_plain_loops<Model>(step) : on_team<Model>(members, step)) / total(batches);
  auto const [expected, p] = toy::autograd<Model>(store.master(), batches);
  EXPECT_NEAR(loss, expected, 1e-5 * expected);
  toy::expect_gradients<Model>(store.gradient(), p);
}

}  // namespace

TEST("two micro-batches of unequal counts: every gradient equals autograd's") {
  SUBCASE("toy layers on plain loops") { accumulate<toy::model<>>(0); }
  SUBCASE("toy layers on one member") { accumulate<toy::model<>>(1); }
  SUBCASE("toy layers on three members, a module in serial among them") { accumulate<toy::model<>>(3); }
  SUBCASE("toy layers, recomputed") { accumulate<toy::model<1>>(2); }
  SUBCASE("the decoder on plain loops") { accumulate<decoder<false>>(0); }
  SUBCASE("the decoder on plain loops, tied") { accumulate<decoder<true>>(0); }
}

TEST("an expert without a token gets exact zeros from the step's first writer") {
  using model = toy::model<>;
  values<model> store(5);
  random_batch const b(3, 20, model::vocab, 1);
  on_plain_loops<model>([&](auto& x, auto& memory) {
    toy::passes<model>::forward_backward(x, store, b.view(memory.rotary_cos, memory.rotary_sin), memory.saved, memory.scratch, 1.f, true);
  });
  int seen = 0;
  for (auto const& p : exec::parameter_places<model>()) {
    if (p.name.find("mlp.up") == p.name.npos && p.name.find("mlp.down") == p.name.npos) continue;
    auto const share = p.size() / model::experts;
    for (auto i = p.size() - share; i < p.size(); ++i) {
      float const g = store.gradient()[p.offset + i];
      REQUIRE((g == 0.f && !std::signbit(g)));
    }
    ++seen;
  }
  EXPECT_EQ(seen, 2 * model::layers);
}

TEST("recomputing routes no row anew, counts nothing twice and changes no bit") {
  random_batch const b(3, 20, toy::model<>::vocab, 1);
  auto const run = [&]<class Model>(std::type_identity<Model>, values<Model> const& store) {
    double load = 0;
    on_team<Model>(2, [&](auto& x, auto& memory) {
      toy::passes<Model>::forward_backward(x, store, b.view(memory.rotary_cos, memory.rotary_sin), memory.saved, memory.scratch, 1.f, true);
      x.barrier();
      if (x.member() == 0)
        for (auto const& slot : memory.saved.body.block)
          for (int i = 0; i < 2 * Model::experts; ++i) load += slot.feed_forward.inner.load.data[i];
    });
    return load;
  };
  values<toy::model<0>> keep(5);
  values<toy::model<1>> again(5);
  double const once = double(toy::model<>::layers * b.samples * b.sequence * toy::model<>::chosen);
  EXPECT_EQ(run(std::type_identity<toy::model<0>>{}, keep), once);
  // One slot serves all blocks here, so what it has counted is of all of them.
  EXPECT_EQ(run(std::type_identity<toy::model<1>>{}, again), once);
  EXPECT(std::memcmp(keep.gradient(), again.gradient(), std::size_t(keep.size) * 4) == 0);
}

namespace {

/// Prefill of `prompt` rows, then one row at a time; each time the last row's logits against the full forward's.
template <class Model>
void decode_text(int members, std::int64_t prompt) {
  random_batch text(1, 24, Model::vocab, 3);
  for (std::int32_t i = 0; i < 24; ++i) text.positions[std::size_t(i)] = i, text.document_start[std::size_t(i)] = 0;
  values<Model> store(5);
  auto const p = toy::reference_parameters<Model>(store.master());
  auto const full = toy::reference_logits(Model{}, p, text).detach().contiguous();
  exec::buffer room(nn::activation_bytes<typename Model::template cache<float>>(24, 1));
  typename Model::template cache<float> cache{};
  nn::bind_activations(cache, room.data(), 24, 1);
  std::vector<double> worst(24, 0);
  auto const run = [&](auto& x, auto& memory) {
    for (std::int64_t past = 0, rows = prompt; past + rows <= 24; past += rows, rows = 1) {
      auto b = text.view(memory.rotary_cos, memory.rotary_sin);
      b.sequence = rows, b.past = past;
      b.tokens += past, b.positions += past;
      toy::passes<Model>::decode(x, store, b, memory.saved, cache);
      auto const last = past + rows - 1;
      if (x.member() == 0)
        for (int j = 0; j < Model::vocab; ++j)
          worst[std::size_t(last)] = std::max(worst[std::size_t(last)], std::abs(double(memory.saved.head.logits.data[j]) - full.template const_data_ptr<double>()[last * Model::vocab + j]));
      x.barrier();
    }
  };
  if (members == 0) on_plain_loops<Model>(run);
  else on_team<Model>(members, run);
  for (std::int64_t i = prompt - 1; i < 24; ++i) EXPECT(worst[std::size_t(i)] < 2e-5);
}

}  // namespace

TEST("prefill and decoding through a cache equal the full forward pass") {
  SUBCASE("toy layers on plain loops") { decode_text<toy::model<>>(0, 9); }
  SUBCASE("toy layers on two members") { decode_text<toy::model<>>(2, 9); }
  SUBCASE("the decoder on plain loops, from the first token") { decode_text<decoder<false>>(0, 1); }
  SUBCASE("the decoder on two members") { decode_text<decoder<true>>(2, 9); }
}

namespace {

/// Two ranks, each a thread with half of every group and micro-batches of its own.
template <class Model, class Step>
void shard(Step&& step, int gathered_at_most) {
  std::vector<random_batch> const batches{{3, 20, Model::vocab, 1}, {2, 20, Model::vocab, 2}, {1, 20, Model::vocab, 3}, {2, 20, Model::vocab, 4}};
  values<Model> full(5);
  toy::sharded_world<Model> world(full.master());
  toy::sharded_store<Model> stores[2] = {{world, 0}, {world, 1}};
  double loss[2];
  auto const rank = [&](int r) {
    loss[r] = on_team<Model>(1, [&](auto& x, auto& memory) {
      for (std::size_t i = 0; i < 2; ++i)
        step(x, stores[r], batches[2 * std::size_t(r) + i].view(memory.rotary_cos, memory.rotary_sin), memory, float(1 / total(batches)), i == 0);
    });
  };
  std::thread other(rank, 1);
  rank(0);
  other.join();
  auto const [expected, p] = toy::autograd<Model>(full.master(), batches);
  EXPECT_NEAR((loss[0] + loss[1]) / total(batches), expected, 1e-5 * expected);
  toy::expect_gradients<Model>(world.full_gradient().data(), p);
  for (auto const& s : stores) {
    EXPECT_EQ(s.gathered_now, 0);  // every lease has ended
    EXPECT(s.gathered_at_most <= gathered_at_most);
    EXPECT(s.scatters >= 2 * (Model::layers + 2));
  }
}

template <class Model>
void shard_toy() {
  shard<Model>([](auto& x, auto& store, auto const& b, auto& m, float seed, bool first) {
    toy::passes<Model>::forward_backward(x, store, b, m.saved, m.scratch, seed, first);
  }, 2);
}
template <class Model>
void shard_library(int gathered_at_most) {
  shard<Model>([](auto& x, auto& store, auto const& b, auto& m, float seed, bool first) {
    Model::forward_backward(x, store, b, m.saved, m.scratch, seed, first);
  }, gathered_at_most);
}

}  // namespace

TEST("a store sharded over two ranks: nothing is read after its release, gradients are reduced into the shards") {
  SUBCASE("toy layers") { shard_toy<toy::model<>>(); }
  SUBCASE("toy layers, recomputed") { shard_toy<toy::model<1>>(); }
  SUBCASE("the decoder: one group at a time") { shard_library<decoder<false>>(1); }
  SUBCASE("the decoder, tied: head and table together") { shard_library<decoder<true>>(2); }
}

namespace {

/// Two stages with two slots of saved memory each. `order`: stage, pass and micro-batch of each action, "0F1" for example:
/// F forward (at the last stage with the loss), B input half, W weight half. Four micro-batches at most.
template <class Model>
void pipeline(char const* order, int micro_batches) {
  using P = toy::passes<Model>;
  constexpr int split = Model::layers / 2;
  std::vector<random_batch> batches;
  for (int i = 0; i < micro_batches; ++i) batches.emplace_back(1 + i % 3, 20, Model::vocab, std::uint64_t(i + 1));
  float const seed = float(1 / total(batches));
  values<Model> store(5);
  toy_executor x;
  using memory = exec::activations<Model, float>;
  memory slots[2][2] = {{{60, 1, Model::positions, theta}, {60, 1, Model::positions, theta}}, {{60, 1, Model::positions, theta}, {60, 1, Model::positions, theta}}};
  bool head_written = false, written[2] = {};
  double loss = 0;
  for (char const* action = order; *action != 0; action += action[3] == ' ' ? 4 : 3) {
    int const stage = action[0] - '0', micro = action[2] - '0';
    REQUIRE(micro < micro_batches);
    auto const first = stage == 0 ? 0 : split, last = stage == 0 ? split : Model::layers;
    auto& m = slots[stage][micro % 2];
    auto const& scratch = slots[stage][0].scratch.block;  // one for all slots: scratch does not outlive a call
    auto const b = batches[std::size_t(micro)].view(slots[0][0].rotary_cos, slots[0][0].rotary_sin);
    auto const width = std::size_t(b.num_rows() * Model::hidden);
    switch (action[1]) {
      case 'F':
        nn::for_each_leaf(m.saved, [](auto& leaf) { std::memset(leaf.data, 0xff, std::size_t(std::remove_cvref_t<decltype(leaf)>::bytes(60, 1))); });
        nn::clear_tiles(x, m.saved.head.loss, 60);
        if (stage == 1)  // receive
          std::copy_n(P::stream(slots[0][micro % 2].saved, split).data, width, P::stream(m.saved, split).data);
        P::template forward<nn::mode::train>(x, store, b, m.saved, first, last);
        if (stage == 1) {
          P::loss(x, store, b, m.saved, m.scratch, scratch, seed, !std::exchange(head_written, true));
          loss += nn::sum_of_tiles(m.saved.head.loss, 60);
        }
        break;
      case 'B':
        if (stage == 0) std::copy_n(slots[1][micro % 2].scratch.d_stream.data, width, m.scratch.d_stream.data);
        P::backward_input(x, store, b, m.saved, m.scratch, scratch, first, last);
        break;
      case 'W': P::backward_weight(x, store, b, m.saved, m.scratch, first, last, !std::exchange(written[stage], true)); break;
      default: REQUIRE(false);
    }
  }
  auto const [expected, p] = toy::autograd<Model>(store.master(), batches);
  EXPECT_NEAR(loss / total(batches), expected, 1e-5 * expected);
  toy::expect_gradients<Model>(store.gradient(), p);
}

/// All forward, then all backward; the weight halves last and in the other order.
constexpr char const* all_then_all = "0F0 0F1 1F0 1F1 1B0 0B0 1B1 0B1 1W1 0W1 1W0 0W0";
/// One forward, one backward, weight halves where there is a gap: four micro-batches through two slots.
constexpr char const* one_then_one =
    "0F0 0F1 1F0 1B0 0B0 1W0 0W0 0F2 1F1 1B1 0B1 1F2 1B2 1W1 0W1 0F3 0B2 1W2 0W2 1F3 1B3 0B3 1W3 0W3";

}  // namespace

TEST("a pipeline of two stages with two micro-batches in flight, input and weight halves apart") {
  SUBCASE("toy layers: F0 F1 B0 B1") { pipeline<toy::model<>>(all_then_all, 2); }
  SUBCASE("toy layers: one forward, one backward") { pipeline<toy::model<>>(one_then_one, 4); }
  SUBCASE("the decoder: F0 F1 B0 B1") { pipeline<decoder<false>>(all_then_all, 2); }
  SUBCASE("the decoder: one forward, one backward") { pipeline<decoder<false>>(one_then_one, 4); }
  SUBCASE("the decoder, tied: one forward, one backward") { pipeline<decoder<true>>(one_then_one, 4); }
}

namespace {

/// The student learns the teacher's distribution; the teacher has other weights and, here, fewer layers.
template <class Teacher, class Student>
void distil() {
  static_assert(Teacher::vocab == Student::vocab);
  values<Teacher> teacher(11);
  values<Student> student(5);
  std::vector<float> const teacher_before(teacher.master(), teacher.master() + teacher.size), teacher_gradient(teacher.gradient(), teacher.gradient() + teacher.size);
  auto const batches = unequal<Student>();
  double const rows = 3 * 20 + 2 * 20;
  exec::activations<Teacher, float> seen(60, 2, Teacher::positions, theta);
  double const loss = on_team<Student>(2, [&](auto& x, auto& m) {
    for (auto const& batch : batches) {
      auto const b = batch.view(m.rotary_cos, m.rotary_sin);
      using T = toy::passes<Teacher>;
      using S = toy::passes<Student>;
      x.barrier();  // the teacher's logits of the micro-batch before are read no more
      T::template forward<nn::mode::infer>(x, teacher, b, seen.saved, 0, Teacher::layers);
      Teacher::head_layer::normalise(x, b, teacher.head().model.norm, seen.saved.head);
      nn::rows<float, Teacher::vocab> const logits{seen.saved.head.logits.data};
      x.linear(b.num_rows(), seen.saved.head.normed, Teacher::projection(teacher.embedding(), teacher.head()), logits);
      S::template forward<nn::mode::train>(x, student, b, m.saved, 0, Student::layers);
      bool const first = &batch == &batches[0];
      S::distil(x, student, b, m.saved, m.scratch, m.scratch.block, logits.data, float(1 / rows), first);
      S::backward_input(x, student, b, m.saved, m.scratch, m.scratch.block, 0, Student::layers);
      S::backward_weight(x, student, b, m.saved, m.scratch, 0, Student::layers, first);
    }
  }) / rows;
  auto const t = toy::reference_parameters<Teacher>(teacher.master());
  auto const s = toy::reference_parameters<Student>(student.master());
  double expected = 0;
  for (auto const& b : batches) {
    auto const want = at::softmax(toy::reference_logits(Teacher{}, t, b).detach(), -1);
    auto const sum = (want * at::log_softmax(toy::reference_logits(Student{}, s, b), -1)).sum().neg() / rows;
    sum.backward();
    expected += sum.template item<double>();
  }
  EXPECT_NEAR(loss, expected, 1e-5 * expected);
  toy::expect_gradients<Student>(student.gradient(), s);
  EXPECT(std::memcmp(teacher.master(), teacher_before.data(), teacher_before.size() * 4) == 0);
  EXPECT(std::memcmp(teacher.gradient(), teacher_gradient.data(), teacher_gradient.size() * 4) == 0);
}

}  // namespace

TEST("a frozen teacher beside a student in one process") {
  SUBCASE("toy layers") { distil<toy::model<0, 1>, toy::model<>>(); }
  SUBCASE("the decoder") { distil<decoder<true>, decoder<false>>(); }
}
