// The loop of a trainer on a GPU: reports come a step late and none is lost, and whoever looks at weights has all of them.
#include "cuda/rig.hpp"
#include "tenon/optim/moments.hpp"
#include "tenon/train/device_engine.hpp"
#include "tenon/train/device_step.hpp"

using namespace tenon;
using rigs::untied;

namespace {

/// What device_loop asks of a trainer, without LibTorch.
struct small_trainer {
  static constexpr bool scales_loss = true;
  static constexpr bool schedule_follows = false;
  struct {
    optim::moments<2> moments = optim::moments<2>(exec::flat_layout<untied>::total);
    std::int64_t updates = 0;
  } state;
  optim::loss_scale scaler{.scale = 0x1p30};
  train::device_engine<untied, nn::fp16, optimizer::adamw> on;
  struct {
    std::int64_t step = 0;
    std::int64_t tokens = 0;
  } at;
  steps length;

  explicit small_trainer(std::int64_t steps) : on(0, 2, 20, 2, nn::rotation{10000}, rules()), length{steps} {
    on.initialise(7, 0.1);
    on.attach(state, &scaler);
  }
  static exec::cuda::step_rules rules() {
    auto r = train::device_rules(optimizer::adamw{});
    r.scales = true, r.growth_interval = 4;
    return r;
  }
  auto& engine() { return on; }
  auto const& progress() const { return at; }
  steps total() const { return length; }
  double learning_rate() const { return learning_rate_after(0); }
  double learning_rate_after(std::int64_t ahead) const { return 1e-3 * double(at.step + ahead + 1); }
  void advance(data::micro_batch const&, train::step_report const& r) { ++at.step, at.tokens += r.count; }
  std::vector<float> weights() {
    on.bring_home();
    return {on.master(), on.master() + on.size()};
  }
};

struct rows_in_order {
  std::int64_t given = 0;
  void take(data::micro_batch& b) {
    rigs::step_rows const r(2, 2, 20, untied::vocab, std::uint64_t(given++));
    b.samples = 4, b.sequence = 20, b.num_targets = r.count;
    b.tokens = r.tokens, b.targets = r.targets, b.positions = r.positions, b.document_start = r.document_start;
  }
};

struct host {
  std::vector<double> losses;
  std::vector<std::int64_t> saved, looked, counts;
  std::vector<std::vector<float>> weights;
  std::int64_t stop_after = -1;
  bool interrupted() const { return std::int64_t(losses.size()) >= stop_after && stop_after >= 0; }
  void begin(small_trainer&) {}
  void report(small_trainer& t, data::micro_batch const& b, train::step_report const& r) {
    losses.push_back(r.loss), counts.push_back(b.num_targets);
    EXPECT_EQ(t.progress().step, std::int64_t(losses.size()));
    EXPECT_EQ(r.count, b.num_targets);
    EXPECT_NEAR(r.learning_rate, 1e-3 * double(losses.size()), 1e-12);
  }
  bool save_due(small_trainer&, std::int64_t step) const { return step % 3 == 0; }
  bool evaluate_due(small_trainer&, std::int64_t step) const { return step % 4 == 0; }
  void save(small_trainer& t) {
    EXPECT_EQ(t.engine().device().in_flight(), 0);
    EXPECT_EQ(std::int64_t(losses.size()), t.progress().step);
    saved.push_back(t.progress().step), weights.push_back(t.weights());
  }
  void evaluate(small_trainer& t) {
    EXPECT_EQ(t.engine().device().in_flight(), 0);
    looked.push_back(t.progress().step);
  }
};

}  // namespace

TEST("the loop on a GPU: the reports, weights and loss scales of one step after the other") {
  small_trainer looped(10), plain(10);
  rows_in_order batches, again;
  host h;
  EXPECT(!train::device_loop(looped, batches, h));
  EXPECT(h.saved == std::vector<std::int64_t>{3, 6, 9, 10});
  EXPECT(h.looked == std::vector<std::int64_t>{4, 8, 10});
  EXPECT_EQ(batches.given, 10);
  std::size_t next = 0;
  for (std::size_t s = 0; s < 10; ++s) {
    data::micro_batch b;
    again.take(b);
    train::start_step(plain, b);
    auto const r = train::finish_step(plain, b);
    EXPECT_EQ(double(r.loss), h.losses[s]);
    EXPECT_EQ(b.num_targets, h.counts[s]);
    if (next < h.saved.size() && h.saved[next] == std::int64_t(s) + 1) EXPECT(rigs::same_bits(plain.weights(), h.weights[next++]));
  }
  EXPECT_EQ(looped.scaler.scale, plain.scaler.scale);
  EXPECT(looped.scaler.skipped > 0);  // it began with a scale that overflows
  EXPECT_EQ(looped.state.updates, 10 - looped.scaler.skipped);
}

TEST("an interruption is saved after the step that is on its way, with its report") {
  small_trainer t(10);
  rows_in_order batches;
  host h;
  h.stop_after = 4;
  EXPECT(train::device_loop(t, batches, h));
  EXPECT_EQ(std::int64_t(h.losses.size()), batches.given);  // no step without a report
  EXPECT_EQ(h.saved.back(), batches.given);
  EXPECT(batches.given >= 5);
}

TEST("a state from the host goes on on the device as if it had stayed there") {
  small_trainer straight(6), first(6), second(6);
  rows_in_order rows;
  std::vector<data::micro_batch> b(6);
  for (auto& one : b) rows.take(one);
  auto const run = [&](small_trainer& t, std::size_t from, std::size_t to) {
    for (auto s = from; s < to; ++s) train::start_step(t, b[s]), train::finish_step(t, b[s]);
  };
  run(straight, 0, 6), run(first, 0, 3);
  first.engine().bring_home();
  std::copy_n(first.on.master(), first.on.size(), second.on.master());
  for (std::size_t m = 0; m < 2; ++m)
    std::copy_n(first.state.moments[m].as<float>(), first.on.size(), second.state.moments[m].as<float>());
  second.state.updates = first.state.updates, second.scaler = first.scaler, second.at = first.at;
  second.engine().refresh_copy();
  run(second, 3, 6);
  EXPECT(rigs::same_bits(straight.weights(), second.weights()));
}
