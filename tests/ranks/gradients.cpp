// Ranks as threads of this process, each with a trainer of its own, over the same global batches.
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include <cmath>
#include <optional>
#include <thread>

#include "support/reference_model.hpp"
#include "support/test.hpp"
#include "tenon/parallel.hpp"
#include "train/tiny.hpp"

using namespace tenon;
using namespace tenon::literals;

namespace {

/// Small buckets, so that several are on their way at once.
constexpr auto with_ranks(auto const& r) { return r.with(parallel::ddp{.bucket = bytes{8192}}); }
constexpr auto sized = [](auto& r) { r.batch.global = 8_samples; };
constexpr auto one = tiny::fp32.edit(sized);
constexpr auto many = with_ranks(tiny::fp32.edit(sized));

/// Eight samples: what the data holds at `at`, of which a rank takes its part. Documents and missing targets differ from
/// sample to sample, so the ranks have unequal numbers of targets.
data::micro_batch part_of(data::cursor const& at, int rank, int size) {
  auto const a = tiny::batch_at(at), b = tiny::batch_at({at.stage, at.epoch, at.sample + 4});
  data::micro_batch all = a;
  auto const append = [](auto& to, auto const& from) { to.insert(to.end(), from.begin(), from.end()); };
  append(all.tokens, b.tokens), append(all.targets, b.targets), append(all.positions, b.positions);
  append(all.document_start, b.document_start);
  auto const samples = 8 / size;
  auto const cut = [&](auto& v) {
    std::vector<std::int32_t> const mine(v.begin() + rank * samples * 16, v.begin() + (rank + 1) * samples * 16);
    v = mine;
  };
  cut(all.tokens), cut(all.targets), cut(all.positions), cut(all.document_start);
  all.samples = samples, all.next.sample = at.sample + 8;
  all.num_targets = data::loader::count_targets(all.targets.data(), samples * 16);
  return all;
}

struct outcome {
  std::vector<train::step_report> reports;
  std::vector<float> first_gradient, master;
  std::map<std::string, std::string> state;
  std::vector<std::int64_t> targets;  ///< of this rank alone, step by step
};

template <class Trainer>
outcome run(Trainer& t, int rank, int size, int steps) {
  outcome o;
  for (int i = 0; i < steps; ++i) {
    auto const batch = part_of(t.progress().cursor, rank, size);
    o.targets.push_back(batch.num_targets);
    o.reports.push_back(train::step(t, batch));
    if (i == 0) o.first_gradient.assign(t.engine().gradient(), t.engine().gradient() + t.engine().size());
  }
  o.master.assign(t.engine().master(), t.engine().master() + t.engine().size());
  o.state = tiny::state_of(t);
  return o;
}

int meetings = 0;
/// Runs `f(group)` on `size` ranks, each a thread.
template <class F>
void on_threads(int size, F f) {
  auto const attempt = std::to_string(::getpid()) + "." + std::to_string(++meetings);
  std::vector<std::thread> threads;
  std::vector<std::string> failures(static_cast<std::size_t>(size));
  int const port = 21000 + (::getpid() * 31 + meetings) % 20000;
  for (int r = 0; r < size; ++r)
    threads.emplace_back([&, r] {
      try {
        parallel::group g({.launcher = "threads", .rank = r, .size = size, .local_rank = r, .local_size = size, .host = "127.0.0.1", .port = port, .attempt = attempt}, std::chrono::seconds(60));
        f(g);
        (void)g.gather(0, "the end");
      } catch (std::exception const& e) {
        failures[std::size_t(r)] = e.what();
      }
    });
  for (auto& t : threads) t.join();
  for (auto const& failure : failures) REQUIRE(failure == "");
}
template <auto const& R>
std::vector<outcome> on_ranks(int size, int members, int steps) {
  std::vector<outcome> all(static_cast<std::size_t>(size));
  on_threads(size, [&](parallel::group& g) {
    auto r = R;
    r.parallel.ranks = size;
    train::trainer<R> t(r, members, 20_steps, g);
    all[std::size_t(g.rank())] = run(t, g.rank(), size, steps);
  });
  return all;
}
double relative(std::vector<float> const& a, std::vector<float> const& b) {
  double d = 0, n = 0;
  for (std::size_t i = 0; i < a.size(); ++i) d += (double(a[i]) - b[i]) * (double(a[i]) - b[i]), n += double(b[i]) * b[i];
  return std::sqrt(d / n);
}

}  // namespace

TEST("1, 2 and 4 ranks over the same global batches have the same gradients and losses") {
  constexpr int steps = 8;
  train::trainer<one> alone(one, 2, 20_steps);
  auto const expected = run(alone, 0, 1, steps);
  for (int const size : {1, 2, 4}) {
    auto const all = on_ranks<many>(size, size == 2 ? 2 : 1, steps);
    DOCTEST_INFO(size << " ranks");
    auto const difference = relative(all[0].first_gradient, expected.first_gradient);
    DOCTEST_INFO("relative difference of the gradient " << difference);
    EXPECT(difference < 1e-6);
    for (int i = 0; i < steps; ++i) {
      EXPECT_EQ(all[0].reports[std::size_t(i)].count, expected.reports[std::size_t(i)].count);
      EXPECT_NEAR(all[0].reports[std::size_t(i)].loss, expected.reports[std::size_t(i)].loss, 1e-5);
    }
    for (auto const& other : all) {
      EXPECT((other.state == all[0].state));  // weights, moments, cursor: to the bit
      EXPECT((other.first_gradient == all[0].first_gradient));
      if (size > 1 && &other != &all[0]) EXPECT((other.targets != all[0].targets));
    }
    if (size == 2) {
      auto const again = on_ranks<many>(2, 2, steps);
      EXPECT((again[0].state == all[0].state));
    }
  }
}

namespace {

constexpr auto half = with_ranks(tiny::fp16.edit([](auto& r) { r.batch.global = 8_samples, r.precision.initial_scale = 0x1p40; }));

at::Tensor ids(std::vector<std::int32_t> const& v) {
  return at::from_blob(const_cast<std::int32_t*>(v.data()), {std::int64_t(v.size())}, at::kInt).to(at::kLong);
}

/// A flat buffer of 72 elements: head, three blocks, embedding, in the order of readiness.
constexpr std::array<parallel::span, 5> small_places{{{56, 72}, {48, 56}, {40, 48}, {32, 40}, {0, 32}}};

}  // namespace

TEST("the gradient is the one that LibTorch's own Reducer brings under its autograd") {
  constexpr int size = 2;
  auto const ours = on_ranks<many>(size, 1, 1);
  auto const store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::vector<float>> theirs(size, std::vector<float>(ours[0].first_gradient.size()));
  std::vector<std::string> failures(size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      try {
        auto const options = c10d::ProcessGroupGloo::Options::create(std::chrono::seconds(60));
        options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface("lo"));
        auto const group = c10::make_intrusive<c10d::ProcessGroup>(store, rank, size);
        group->setBackend(c10::DeviceType::CPU, c10d::ProcessGroup::BackendType::GLOO,
                          c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options));
        group->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);

        train::trainer<one> t(one, 1, 20_steps);  // for its first weights
        reference::parameters weights;
        std::vector<at::Tensor> list;
        for (auto const& place : t.engine().places()) {
          auto const w = at::from_blob(t.engine().master() + place.offset, place.shape(), at::kFloat).clone();
          list.push_back(weights[place.name] = w.requires_grad_(true));
        }
        std::vector<std::vector<std::size_t>> buckets;
        for (std::size_t i = list.size(); i > 0; --i) buckets.push_back({i - 1});
        c10d::Reducer reducer(list, buckets, group, std::vector<bool>(list.size(), false), 1 << 20, false, false, {}, 1 << 20,
                              false, false, {});
        auto const b = part_of({}, rank, size);
        reducer.prepare_for_forward();
        auto const out = reference::logits(weights, {2, 4, 2, false}, ids(b.tokens), ids(b.positions), ids(b.document_start),
                                           b.samples, b.sequence);
        auto const sum = at::cross_entropy_loss(out, ids(b.targets), {}, /*reduction: sum*/ 2, -1);
        reducer.prepare_for_backward({});
        (sum * (double(size) / double(ours[0].reports[0].count))).backward();  // the Reducer divides by the ranks
        for (std::size_t i = 0; i < list.size(); ++i) {
          auto const g = list[i].grad().contiguous();
          std::copy_n(g.data_ptr<float>(), g.numel(), theirs[std::size_t(rank)].data() + t.engine().places()[i].offset);
        }
        group->barrier()->wait();
      } catch (std::exception const& e) {
        failures[std::size_t(rank)] = e.what();
      }
    });
  for (auto& t : threads) t.join();
  for (auto const& failure : failures) REQUIRE(failure == "");
  EXPECT((theirs[0] == theirs[1]));
  auto const difference = relative(ours[0].first_gradient, theirs[0]);
  DOCTEST_INFO("relative difference " << difference);
  EXPECT(difference < 1e-5);
}

TEST("an overflow on one rank is an overflow on all: the step is skipped and the scale falls everywhere") {
  std::vector<train::step_report> reports(2);
  std::vector<double> scales(2);
  on_threads(2, [&](parallel::group& g) {
    auto r = half;
    r.parallel.ranks = 2;
    train::trainer<half> t(r, 1, 20_steps, g);
    auto batch = part_of({}, g.rank(), 2);
    if (g.rank() == 0) std::fill(batch.targets.begin(), batch.targets.end(), -1), batch.num_targets = 0;
    reports[std::size_t(g.rank())] = train::step(t, batch);
    scales[std::size_t(g.rank())] = t.loss_scale();
  });
  for (auto const& r : reports) EXPECT(r.skipped);
  for (auto const s : scales) EXPECT_EQ(s, 0x1p39);
}

TEST("buckets follow the order of readiness, and a 16-bit wire adds what was rounded to it") {
  auto const list = parallel::make_buckets(small_places, 50, 4);
  REQUIRE(list.all.size() == 3);  // head; two blocks; block and embedding
  EXPECT((list.all[0].first == 56 && list.all[0].last == 72 && list.all[0].groups == 1));
  EXPECT((list.all[1].first == 40 && list.all[1].last == 56 && list.all[1].groups == 2));
  EXPECT((list.all[2].first == 0 && list.all[2].last == 40 && list.all[2].groups == 2));
  EXPECT((list.of_group == std::vector<int>{0, 1, 1, 2, 2}));
  on_threads(2, [&](parallel::group& g) {
    std::vector<float> gradient(72);
    for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] = float(i) * (g.rank() == 0 ? 1.001f : 0.37f);
    auto const before = gradient;
    parallel::reducer<nn::bf16> r(g, gradient.data(), list, 2);
    r.open();
    for (int group = 0; group < 5; ++group) r.ready(group), r.ready(group);  // two members
    r.finish();
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      float const mine = nn::widen(nn::narrow<nn::bf16>(float(i) * 1.001f)), other = nn::widen(nn::narrow<nn::bf16>(float(i) * 0.37f));
      if (std::abs(gradient[i] - (mine + other)) > 0.004f * (mine + other)) throw error("element " + std::to_string(i) + " is wrong");
    }
  });
}
