// A whole step of train::trainer and the loop around it, on the opaque kernels of tests/zero, beside the same written by
// hand: the same calls with the same arguments, the same report, and how many instructions each takes.
#include <array>
#include <cmath>
#include <vector>

#include "support/micro_batch.hpp"
#include "support/test.hpp"
#include "tenon/train/loop.hpp"
#include "zero/by_hand.hpp"
#include "zero/opaque.hpp"
#include "zero/stepper.hpp"

namespace counted {

namespace tn = tenon;
using namespace tenon::literals;

/// A model policy of one's own, for an engine of one's own: the layers of deepseek_llm on opaque kernels.
struct dense {
  using axis = tn::axis::model;
  static constexpr std::string_view kind = "counted";
  static constexpr std::string_view read_by = "train::engine_for";
  tn::fixed<int> vocab = 320, hidden = 32, layers = 8, heads = 4, intermediate = 48, positions = 16;
  tn::fixed<bool> tied = false;
};
/// An optimizer policy of one's own, whose update is one opaque call for each run of parameters.
struct plain {
  using axis = tn::axis::optimizer;
  static constexpr std::string_view kind = "counted";
  static constexpr std::string_view read_by = "optim::engine";
  double weight_decay = 0.1, clip = 1.0;
};

template <class Compute>
struct executor : zero::opaque<Compute> {
  template <class F>
  [[gnu::always_inline]] void tasks(std::int64_t n, F&& f) const {
    for (std::int64_t i = 0; i < n; ++i) f(i);
  }
};

template <auto const& R>
class engine {
 public:
  using compute = tn::models::compute_of<R>;
  using layers = tn::models::deepseek_llm<R.model.vocab, R.model.hidden, R.model.layers, R.model.heads, R.model.heads,
                                          R.model.intermediate, R.model.positions, R.model.tied, 0x358637bdu,
                                          tn::models::recompute_every(R.memory)>;
  float* master() const { return store.master(); }
  float* gradient() const { return store.gradient(); }
  compute* copy() const { return store.compute(); }
  std::int64_t size() const { return store.size; }
  std::vector<tn::nn::parameter_place> const& places() const { return places_; }
  void initialise(std::uint64_t seed, double deviation) const { store.initialise(seed, deviation); }
  void refresh_copy() const { store.refresh_copy(); }
  executor<compute> on(tn::exec::cpu::team&, int) const { return {}; }
  void clear_loss(executor<compute>& x) const { x.zero(num_rows, memory.saved.head.loss); }
  void forward_backward(executor<compute>& x, tn::nn::micro_batch b, float seed, bool first) const {
    b.rotary_cos = memory.rotary_cos, b.rotary_sin = memory.rotary_sin;
    b.tokens = tokens(b), b.targets = tokens(b);
    layers::forward_backward(x, store, b, memory.saved, memory.scratch, seed, first);
  }
  /// In place of the batch's own addresses, which no two runs share.
  static std::int32_t const* tokens(tn::nn::micro_batch const& b) {
    static std::array<std::int32_t, 64> const some{};
    return some.data() + b.document_start[0];
  }
  double loss_sum() const { return tn::nn::sum_of_tiles(memory.saved.head.loss, num_rows); }

  static constexpr std::int64_t num_rows = R.batch.micro.count * R.batch.sequence.count;
  tn::exec::parameter_store<layers, compute> store;
  tn::exec::activations<layers, compute> memory{num_rows, 1, R.batch.sequence.count, {1e4}};

 private:
  std::vector<tn::nn::parameter_place> places_ = tn::exec::parameter_places<layers>();
};

}  // namespace counted

template <>
struct tenon::train::engine_for<counted::dense> {
  template <auto const& R>
  using type = counted::engine<R>;
  template <auto const& R, class Recipe>
  static type<R> make(Recipe const&, std::int64_t, int) {
    return {};
  }
};
template <class Moment>
struct tenon::optim::engine<counted::plain, Moment> {
  struct state {
    std::int64_t updates = 0;
  };
  struct constants {
    float decay, gradient;
  };
  static constants prepare(counted::plain const& p, double rate, std::int64_t, float factor) {
    return {float(1 - rate * p.weight_decay), factor};
  }
  template <class T>
  static void update(constants const& k, state const&, float* w, float const* g, T* copy, std::int64_t first,
                     std::int64_t last, bool decays) {
    zero_kernel(op::update, last - first, w + first, g + first, copy + first, decays ? k.decay : k.gradient);
  }
};

namespace counted {

template <class Precision, class Memory, class Schedule>
constexpr auto of(Precision p, Memory m, Schedule s, bool tied) {
  return tn::recipe(dense{.tied = tied}, tn::target::cpu{}, p, m, s, plain{}, tn::horizon{10_steps},
                    tn::batch{.sequence = 16_tokens, .global = 4_samples, .micro = 2_samples});
}
constexpr auto fp32_keep = of(tn::precision::fp32{}, tn::memory::keep{}, tn::schedule::constant{}, false);
constexpr auto fp32_recompute_tied =
    of(tn::precision::fp32{}, tn::memory::recompute{}, tn::schedule::warmup_cosine{.warmup = 2_steps}, true);
constexpr auto bf16_keep_tied =
    of(tn::precision::bf16{.emulated = true}, tn::memory::keep{}, tn::schedule::warmup_linear{.warmup = 2_steps}, true);
constexpr auto fp16_recompute =
    of(tn::precision::fp16{.emulated = true}, tn::memory::recompute{}, tn::schedule::constant{}, false);

/// What the loop asks; nothing in it but what a loop by hand does, too.
struct host {
  double loss = 0;
  bool stop = false;
  void begin(auto&) {}
  void report(auto&, tn::data::micro_batch const&, tn::train::step_report const& r) { loss = r.loss; }
  bool interrupted() const { return stop; }
  bool save_due(auto&) const { return false; }
  bool evaluate_due(auto&) const { return false; }
  void save(auto&) { zero_kernel(op::barrier, 1, nullptr, nullptr, nullptr, 0); }
  void evaluate(auto&) { zero_kernel(op::barrier, 2, nullptr, nullptr, nullptr, 0); }
};
struct same_batch {
  tn::data::micro_batch batch;
  void take(tn::data::micro_batch& into) { into = batch; }
};

/// The step and its loop as somebody writes them who has this one run: plain numbers, one thread.
template <auto const& R>
class loop_by_hand {
  using compute = typename engine<R>::compute;
  using layers = typename engine<R>::layers;
  static constexpr bool scales = std::is_same_v<compute, tn::nn::fp16>;
  struct run {
    std::int64_t first, last;
    bool decays;
  };

 public:
  loop_by_hand(engine<R> const& e, std::int64_t length)
      : engine_(e),
        length_(length),
        pass_(e.store, e.memory, e.places()),
        squares_(std::size_t(tn::optim::num_chunks(e.size()))) {
    if constexpr (scales) scale_ = R.precision.initial_scale;
    for (std::size_t c = 0; c < squares_.size(); ++c) {
      auto const from = std::int64_t(c) * tn::optim::chunk;
      tn::optim::for_each_region(tn::optim::regions(e.places(), e.size()), from, std::min(e.size(), from + tn::optim::chunk),
                                 [&](auto first, auto last, bool decays) { runs_.push_back({first, last, decays}); });
      ends_.push_back(runs_.size());
    }
  }

  void step(tn::data::micro_batch const& b) {
    double const rate = R.schedule.at(tn::steps{step_}, tn::steps{length_}, tn::tokens_per_step(R.batch));
    auto const count = b.num_targets > 0 ? b.num_targets : 1;
    float const seed = float(scale_ / double(count));
    zero_kernel(op::zero, engine<R>::num_rows, engine_.memory.saved.head.loss.data, nullptr, nullptr, 0);
    for (std::int64_t first = 0; first < b.samples; first += R.batch.micro.count) {
      auto const at = first * b.sequence;
      tn::nn::micro_batch rows{.samples = R.batch.micro.count, .sequence = b.sequence, .tokens = b.tokens.data() + at,
                               .targets = b.targets.data() + at, .positions = b.positions.data() + at,
                               .document_start = b.document_start.data() + at};
      rows.tokens = rows.targets = engine<R>::tokens(rows);
      pass_.forward_backward(rows, seed, first == 0);
    }
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    double total = 0;
    for (std::size_t c = 0; c < squares_.size(); ++c) {
      auto const first = std::int64_t(c) * tn::optim::chunk, last = std::min(engine_.size(), first + tn::optim::chunk);
      squares_[c] = tn::optim::sum_of_squares(engine_.gradient() + first, last - first);
    }
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    for (double s : squares_) total += s;
    norm_ = std::sqrt(total) / scale_;
    bool const finite = std::isfinite(norm_);
    if (finite) {
      float const factor = float(tn::optim::clip_factor(norm_, R.optimizer.clip) / scale_);
      float const decay = float(1 - rate * R.optimizer.weight_decay);
      std::size_t i = 0;
      for (auto const end : ends_)
        for (; i < end; ++i)
          zero_kernel(op::update, runs_[i].last - runs_[i].first, engine_.master() + runs_[i].first,
                      engine_.gradient() + runs_[i].first, engine_.copy() + runs_[i].first, runs_[i].decays ? decay : factor);
    }
    loss_ = engine_.loss_sum() / double(count);
    if constexpr (scales) {
      if (!finite)
        scale_ = double(float(scale_ * R.precision.backoff)), good_ = 0, ++skipped_;
      else if (++good_ == R.precision.growth_interval)
        scale_ = double(float(scale_ * R.precision.growth)), good_ = 0;
    } else if (!finite) {
      std::abort();
    }
    updates_ += finite;
    ++step_, tokens_ += b.num_targets, at_ = b.next;
  }
  void loop(same_batch& batches, host& h) {
    tn::data::micro_batch batch;
    while (step_ < length_) {
      batches.take(batch);
      step(batch);
      h.loss = loss_;
      if (h.stop) return h.save(*this);
    }
    h.save(*this), h.evaluate(*this);
  }
  std::array<double, 6> numbers() const {
    return {loss_, norm_, scale_, double(updates_), double(step_), double(tokens_)};
  }

 private:
  engine<R> const& engine_;
  std::int64_t length_;
  zero::by_hand<layers, compute, R.model.hidden, R.model.intermediate, tn::models::recompute_every(R.memory) != 0> pass_;
  std::vector<double> squares_;
  std::vector<run> runs_;
  std::vector<std::size_t> ends_;
  tn::data::cursor at_;
  double loss_ = 0, norm_ = 0, scale_ = 1;
  std::int64_t good_ = 0, skipped_ = 0, updates_ = 0, step_ = 0, tokens_ = 0;
};

template <auto const& R>
[[gnu::noinline]] void generic_loop(tn::train::trainer<R>& t, same_batch& b, host& h) {
  tn::train::loop(t, b, h);
}
template <auto const& R>
[[gnu::noinline]] void hand_loop(loop_by_hand<R>& t, same_batch& b, host& h) {
  t.loop(b, h);
}

template <auto const& R>
void compare(char const* name) {
  static_assert(tn::legal<R>);
  DOCTEST_INFO(name);
  random_batch const rows(4, 16, 320, 1);
  same_batch batches;
  auto& b = batches.batch;
  b.samples = 4, b.sequence = 16, b.num_targets = rows.count(), b.tokens = rows.tokens, b.targets = rows.targets;
  b.positions = rows.positions, b.document_start = rows.document_start, b.next.sample = 4;

  constexpr std::int64_t counted = 2;  // each instruction is stepped, which takes a while
  tn::train::trainer<R> t(R, 1, tn::steps{counted});
  auto const traced = [&](auto f) {
    zero_trace = 1, zero_calls = 0;
    f();
    return zero_trace;
  };
  {  // the same calls and the same numbers over the whole run
    tn::train::trainer<R> one(R, 1, tn::steps{10});
    loop_by_hand<R> other(one.engine(), 10);
    host a, c;
    auto const generic = traced([&] { generic_loop<R>(one, batches, a); });
    EXPECT_EQ(traced([&] { hand_loop<R>(other, batches, c); }), generic);
    EXPECT_EQ(a.loss, c.loss);
    auto const n = other.numbers();
    EXPECT_EQ(n[3], double(one.optimizer_state().updates));
    EXPECT_EQ(n[4], double(one.progress().step));
    EXPECT_EQ(n[5], double(one.progress().tokens));
    EXPECT_EQ(n[2], one.loss_scale());
  }
  loop_by_hand<R> hand(t.engine(), counted);
  host h;
  auto const generic = instructions_of([&] { generic_loop<R>(t, batches, h); });
  auto const by_hand = instructions_of([&] { hand_loop<R>(hand, batches, h); });
  std::printf("%-20s two steps: generic %lld instructions, by hand %lld, %+.1f a step (%+.4f %%)\n", name, (long long)generic,
              (long long)by_hand, double(generic - by_hand) / counted, 100. * double(generic - by_hand) / double(by_hand));
  // Two readings of the clock and the choice of the team's size, the region's entry with its guard of the BLAS, the report.
  EXPECT(generic - by_hand <= counted * 300);
}

TEST("the step and the loop take the instructions of the same written by hand") {
  compare<fp32_keep>("fp32_keep");
  compare<fp32_recompute_tied>("fp32_recompute_tied");
  compare<bf16_keep_tied>("bf16_keep_tied");
  compare<fp16_recompute>("fp16_recompute");
}

}  // namespace counted
