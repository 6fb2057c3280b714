#pragma once
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace tenon::observe {

/// What one optimizer step did.
struct step_record {
  std::int64_t step = 0;         ///< optimizer steps done, this one included
  std::int64_t total_steps = 0;  ///< of the horizon
  std::int64_t tokens = 0;       ///< tokens consumed so far
  std::int64_t epoch = 0, stage = 0;
  double loss = 0;                     ///< nats per token of this step
  double learning_rate = 0;            ///< used by this step
  double gradient_norm = 0;            ///< global, before clipping
  std::optional<double> loss_scale{};  ///< only where the precision scales its loss
  std::optional<double> balance_loss{};  ///< of routed experts, with its weight
  std::optional<double> expert_load{};   ///< rows of the fullest expert beside the mean, in the worst block
  std::optional<double> mtp_loss{};      ///< of multi-token prediction, before its weight
  bool skipped = false;                ///< the gradient overflowed and the weights stayed
  double tokens_per_second = 0;
  std::optional<double> share_of_peak{};  ///< of the machine's measured peak, 0 to 1
  std::optional<double> seconds_left{};   ///< to the end of the horizon
};

/// What one evaluation on held-out text gave, beside the n-gram baselines fitted on the tokens consumed so far.
struct evaluation_record {
  std::int64_t step = 0;
  std::int64_t tokens = 0;  ///< held-out tokens scored
  double loss = 0;          ///< nats per token
  std::optional<double> bits_per_byte{};
  std::optional<double> unigram_bits_per_byte{};
  std::optional<double> trigram_bits_per_byte{};
  double seconds = 0;  ///< that the evaluation took
};

/// A piece of text: a message, the recipe, a sample. `tag` is a path such as "run/recipe", empty for a plain message.
struct text_record {
  std::int64_t step = 0;
  std::string tag;
  std::string text;
  enum class severity { info, warning, error } level = severity::info;
};

/// Takes the records of a run.
template <class S>
concept step_sink = requires(S& s, step_record const& step, evaluation_record const& evaluation,
                             text_record const& text) {
  s.on_step(step);
  s.on_evaluation(evaluation);
  s.on_text(text);
};

/// Several sinks as one: each record goes to all, in order, by direct call. Holds what it is given: values moved in,
/// references kept (`sinks s{console, event_sink}` refers to both, which must outlive it).
template <class... Sink>
requires(step_sink<std::remove_reference_t<Sink>>&&...) class sinks {
 public:
  explicit sinks(Sink&&... sink) : all_(std::forward<Sink>(sink)...) {}

  /// After each optimizer step.
  void on_step(step_record const& record) {
    each([&](auto& sink) { sink.on_step(record); });
  }
  /// After each evaluation.
  void on_evaluation(evaluation_record const& record) {
    each([&](auto& sink) { sink.on_evaluation(record); });
  }
  /// For each message, sample and description.
  void on_text(text_record const& record) {
    each([&](auto& sink) { sink.on_text(record); });
  }

 private:
  template <class F>
  void each(F f) {
    std::apply([&](auto&... sink) { (f(sink), ...); }, all_);
  }
  std::tuple<Sink...> all_;
};
template <class... Sink>
sinks(Sink&&...) -> sinks<Sink...>;

/// Records kept in memory, for tests and for programs that draw their own curves.
struct recorder {
  std::vector<step_record> steps;
  std::vector<evaluation_record> evaluations;
  std::vector<text_record> texts;
  void on_step(step_record const& record) { steps.push_back(record); }
  void on_evaluation(evaluation_record const& record) { evaluations.push_back(record); }
  void on_text(text_record const& record) { texts.push_back(record); }
};

}  // namespace tenon::observe
