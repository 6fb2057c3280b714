#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <numbers>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tenon/app/company.hpp"
#include "tenon/app/corpus.hpp"
#include "tenon/app/interrupt.hpp"
#include "tenon/app/machine.hpp"
#include "tenon/app/run_directory.hpp"
#include "tenon/deploy/base_model.hpp"
#include "tenon/observe/console.hpp"
#include "tenon/observe/json_lines.hpp"
#include "tenon/observe/tensorboard.hpp"
#include "tenon/recipe/json.hpp"
#include "tenon/train/checkpointing.hpp"
#include "tenon/train/evaluate.hpp"
#include "tenon/train/step.hpp"

namespace tenon::app {

/// Where the records of a run go: the console, TensorBoard, JSON lines.
class outputs {
 public:
  template <class Recipe>
  outputs(std::filesystem::path const& run, Recipe const& r, std::int64_t first_step)
      : console_(stdout, {.log_every = r.observe.log_every.get().count}) {
    if (r.observe.tensorboard) {
      events_.emplace(run / "tensorboard", first_step);
      std::vector<observe::hyperparameter> values;
      for (auto const& f : list_fields(r)) values.push_back({f.choice ? f.path + ".kind" : f.path, f.value});
      events_->hparams(values, {"train/loss", "val/bits_per_byte"}, run.filename().string());
    }
    if (r.observe.json_lines) lines_.emplace(run / "log.jsonl", run.filename().string());
  }
  void on_step(observe::step_record const& s) {
    each([&](auto& o) { o.on_step(s); });
  }
  void on_evaluation(observe::evaluation_record const& e) {
    each([&](auto& o) { o.on_evaluation(e); });
  }
  void on_text(observe::text_record const& t) {
    each([&](auto& o) { o.on_text(t); });
  }
  /// For TensorBoard and the log, not for the console.
  void describe(observe::text_record const& t) {
    if (events_) events_->on_text(t);
    if (lines_) lines_->on_text(t);
  }
  void say(std::int64_t step, std::string text) { on_text({step, "", std::move(text)}); }
  /// For the console alone: how far something is that goes on between two steps.
  template <class Text>
  void wait(Text&& text) {
    console_.on_wait(text);
  }
  void finish(bool success) {
    if (events_) events_->finish(success), events_->flush();
  }

 private:
  template <class F>
  void each(F f) {
    f(console_);
    if (events_) f(*events_);
    if (lines_) f(*lines_);
  }
  observe::console<> console_;
  std::optional<observe::event_file> events_;
  std::optional<observe::json_lines> lines_;
};

/// The facts about a run that do not change while it runs.
struct run_facts {
  std::filesystem::path run;
  checkpoint::machine_facts machine;
  std::vector<checkpoint::recorded_change> changes;
  std::optional<std::int64_t> parent_step;
  double seconds_before = 0;        ///< trained by earlier starts of this run
  std::int64_t step_flops = 0;      ///< 0: not known (a model under autograd)
  std::int64_t replay_samples = 0;  ///< consumed by earlier starts
  std::optional<deploy::base_model> base;  ///< whose weights stay as they are
};

/// What the loop calls: records, evaluates and saves for one start of a run. `Order` is data::loader or
/// data::mixture_loader. Without outputs it is one of the ranks that do not lead: it takes its part of evaluations, and
/// neither records nor saves.
template <class Trainer, class Order>
class session {
 public:
  session(run_facts facts, run_text const& text, Order const& order, outputs* out)
      : facts_(std::move(facts)), text_(&text), order_(order), out_(out), baseline_(text.tokens().size()) {
    auto const most = held_out_limit / order.sequence();  // samples, parted among the sources like the run's
    for (std::size_t s = 0; s < text.sources.size(); ++s)
      held_.emplace_back(text.sources[s].corpus, order.sequence(), text.tokens().begin_of_text(),
                         text.tokens().byte_lengths(),
                         std::max<std::int64_t>(1, most * share_of(order, s) / data::mixture_pattern::period),
                         packing_of<typename Trainer::recipe_type>);
    if (out_ != nullptr && facts_.replay_samples > 0) baseline_.replay(order_, facts_.replay_samples);
  }

  bool interrupted() const { return app::interrupted(); }
  void begin(Trainer& t) { started_ = step_ended_ = saved_ = clock::now(), first_step_ = t.progress().step; }

  void report(Trainer& t, data::micro_batch const& batch, train::step_report const& s) {
    if (out_ == nullptr) return;
    auto const now = clock::now();
    double const took = seconds(now - step_ended_);
    step_ended_ = now;
    busy_ += took;
    auto const& p = t.progress();
    double const mean = busy_ / double(p.step - first_step_);  // steady from the first steps on; steps are alike
    observe::step_record r{.step = p.step,
                           .total_steps = t.total().count,
                           .tokens = p.tokens,
                           .epoch = batch.at.epoch,
                           .stage = batch.at.stage,
                           .loss = s.loss,
                           .learning_rate = s.learning_rate,
                           .gradient_norm = s.gradient_norm};
    if constexpr (Trainer::scales_loss) r.loss_scale = t.loss_scale();
    if constexpr (requires { requires Trainer::engine_type::balances; }) r.balance_loss = s.balance;
    if (s.expert_load > 0) r.expert_load = s.expert_load;
    if constexpr (requires { requires (Trainer::engine_type::modules > 0); }) r.mtp_loss = s.further;
    r.skipped = s.skipped;
    r.tokens_per_second = double(s.count) / took;
    double peak = double(TENON_NATIVE_GFLOPS);  // as measured; of a GPU, as published
    if constexpr (train::on_a_device<Trainer>) peak = t.recipe().target.facts().rate(dtypes_of(t.recipe()).product());
    if (facts_.step_flops > 0 && peak > 0) r.share_of_peak = double(facts_.step_flops) / took / (peak * 1e9);
    r.seconds_left = mean * double(t.total().count - p.step);
    if (batch.at.stage != stage_) {
      if (stage_ >= 0) out_->say(p.step, "stage " + std::to_string(batch.at.stage + 1) + " of the curriculum begins");
      stage_ = batch.at.stage;
    }
    out_->on_step(r);
    if constexpr (Trainer::on_ranks)  // of the whole step, not of this rank's part
      baseline_.consume_from(order_, batch.at, t.recipe().batch.global.count);
    else
      baseline_.consume(batch);
    step_ended_ = clock::now();
  }

  bool evaluate_due(Trainer& t) const { return evaluate_due(t, t.progress().step); }
  /// Whether an evaluation is due after `step`; on a GPU it may not be reported yet.
  bool evaluate_due(Trainer& t, std::int64_t step) const {
    auto const every = t.recipe().observe.evaluate_every.get().count;
    return every > 0 && step % every == 0;
  }
  /// Held-out loss beside the baselines; an interruption ends it early and nothing is recorded. Of a mixture: over the
  /// held-out sides of all sources, one behind the other (of each the first samples, up to its share of
  /// held_out_limit), and then the bits per byte of each.
  void evaluate(Trainer& t) {
    auto const begun = clock::now();
    double nats = 0;
    std::string each;
    for (auto& side : held_) {
      double const one = train::held_out_nats(t, side, room_, [&](std::int64_t done) {
        if (out_ != nullptr)
          out_->wait([&] { return "evaluating: " + observe::grouped(done) + " of " + observe::grouped(side.samples()) + " samples"; });
        return interrupted();
      });
      if (one < 0) return;
      nats += one;
      each += (each.empty() ? "" : ", ") + observe::fixed_point(side.bits_per_byte(one), 4);
    }
    if (out_ == nullptr) return;
    auto const busy = busy_with(t);
    auto const bits = held_out_bits(baseline_);
    auto const targets = sum(&data::held_out_set::targets);
    double const bytes = double(sum(&data::held_out_set::bytes));
    observe::evaluation_record e{.step = t.progress().step, .tokens = targets, .loss = nats / double(targets)};
    e.bits_per_byte = nats / std::numbers::ln2 / bytes;
    e.unigram_bits_per_byte = bits.unigram / bytes, e.trigram_bits_per_byte = bits.trigram / bytes;
    e.seconds = seconds(clock::now() - begun);
    out_->on_evaluation(e);
    if (held_.size() > 1) out_->say(e.step, "held out, source by source: " + each + " bits/byte");
    step_ended_ = clock::now();
  }

  /// For information: what the trigram reaches with the whole training text, of which the run may have seen a part.
  std::string whole_text_note(Trainer& t) {
    train::consumed_baseline whole(text_->tokens().size());
    std::int64_t tokens = 0;
    std::int64_t const most = whole_text_limit / order_.sequence();
    bool part = false;
    for (auto const& source : text_->sources) {
      data::loader const all(source.corpus, data::split::train, order_.sequence(), t.recipe().seed.value,
                             source.tokens.begin_of_text(), {},  // without the curriculum: every document once
                             packing_of<typename Trainer::recipe_type>);
      auto const taken = std::min(all.samples_in_epoch({}), most / std::int64_t(text_->sources.size()));
      whole.replay(all, taken);
      bool const whole_source = taken == all.samples_in_epoch({});
      tokens += whole_source ? all.targets_in_epoch({}) : taken * order_.sequence();
      part = part || !whole_source;
    }
    return "for information: the trigram of " +
           std::string(part ? "a part of the training text" : "the whole training text") + " (" +
           observe::short_number(double(tokens)) + " tokens) needs " +
           observe::fixed_point(held_out_bits(whole).trigram / double(sum(&data::held_out_set::bytes)), 3) +
           " bits/byte";
  }

  bool save_due(Trainer& t) const { return save_due(t, t.progress().step); }
  bool save_due([[maybe_unused]] Trainer& t, [[maybe_unused]] std::int64_t step) const {
    if constexpr (requires { t.recipe().checkpoint.period; }) {
      auto const& period = t.recipe().checkpoint.period;
      if (period.in == tenon::period::unit::minutes) return clock::now() - saved_ >= std::chrono::minutes(period.count);
      return period.count > 0 && step % period.count == 0;
    } else {
      return false;
    }
  }
  void save([[maybe_unused]] Trainer& t) {
    if constexpr (requires { t.recipe().checkpoint.period; }) {
      if (out_ == nullptr) return;
      auto const busy = busy_with(t);
      auto const& r = t.recipe();
      auto const& p = t.progress();
      checkpoint::transaction<> to(facts_.run, p.step);
      train::save_state(to, t, [&](std::string_view file) {
        out_->wait([&] { return "saving step " + observe::grouped(p.step) + ": " + std::string(file); });
      });
      checkpoint::manifest m;
      m.step = p.step, m.tokens_consumed = p.tokens, m.cursor = {p.cursor.stage, p.cursor.epoch, p.cursor.sample};
      m.changes = facts_.changes;
      describe_in_manifest(m, t);
      if (facts_.base) m.recipe["base"] = deploy::base_json(*facts_.base);
      m.machine = facts_.machine;
      m.data_fingerprint = fingerprint(order_), m.tokenizer_sha256 = text_->tokens().fingerprint();
      m.parent_step = facts_.parent_step;
      m.saved_at = observe::timestamp();
      m.seconds_trained = facts_.seconds_before + seconds(clock::now() - started_);
      auto const done = to.commit(m);
      if (!done.note.empty()) out_->say(p.step, done.note);
      for (auto const& sentence : checkpoint::prune_checkpoints(facts_.run, r.checkpoint.keep).damaged)
        out_->say(p.step, sentence);
      last_saved_ = done.directory;
      saved_ = step_ended_ = clock::now();
    }
  }
  std::filesystem::path const& last_saved() const { return last_saved_; }

 private:
  using clock = std::chrono::steady_clock;
  static constexpr std::int64_t held_out_limit = 1 << 16;    ///< tokens: an evaluation looks at no more
  static constexpr std::int64_t whole_text_limit = 1 << 25;  ///< tokens that the trigram of the whole text looks at
  static double seconds(clock::duration d) { return std::chrono::duration<double>(d).count(); }

  std::int64_t sum(std::int64_t (data::held_out_set::*of)() const) const {
    std::int64_t all = 0;
    for (auto const& side : held_) all += (side.*of)();
    return all;
  }
  data::baseline_bits held_out_bits(train::consumed_baseline const& b) {
    data::baseline_bits all;
    for (auto& side : held_) {
      auto const one = b.held_out_bits(side, room_);
      all.unigram += one.unigram, all.trigram += one.trigram;
    }
    return all;
  }

  run_facts facts_;
  run_text const* text_;
  Order order_;
  outputs* out_;
  std::vector<data::held_out_set> held_;  ///< one for each source
  data::micro_batch room_;
  train::consumed_baseline baseline_;
  clock::time_point started_, step_ended_, saved_;
  std::int64_t first_step_ = 0, stage_ = -1;
  double busy_ = 0;
  std::filesystem::path last_saved_;
};

}  // namespace tenon::app
