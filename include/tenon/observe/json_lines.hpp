#pragma once
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "tenon/observe/append_file.hpp"
#include "tenon/observe/format.hpp"
#include "tenon/observe/record.hpp"

namespace tenon::observe {

/// A log of one JSON object per line in the Elastic Common Schema: "@timestamp", "log.level", "message", "ecs.version",
/// event.*, and the run's own numbers under "tenon". Each line is handed to the system as soon as it is made.
class json_lines {
 public:
  /// Opens the log, continuing one that exists; the half line of a process that died is cut off. `run` names the run in
  /// service.node.name. Throws tenon::error naming the file.
  explicit json_lines(std::filesystem::path file, std::string run = "") : file_(std::move(file)), run_(std::move(run)) {
    file_.drop_partial_line();
  }

  /// One line of event.action "step".
  void on_step(step_record const& r) {
    object numbers;
    numbers.number("step", r.step).number("total_steps", r.total_steps).number("tokens", r.tokens);
    numbers.number("epoch", r.epoch).number("stage", r.stage).number("loss", r.loss);
    numbers.number("lr", r.learning_rate).number("grad_norm", r.gradient_norm).optional("loss_scale", r.loss_scale);
    numbers.optional("balance_loss", r.balance_loss).optional("expert_load", r.expert_load);
    numbers.optional("mtp_loss", r.mtp_loss);
    numbers.raw("skipped", r.skipped ? "true" : "false").number("tokens_per_sec", r.tokens_per_second);
    numbers.optional("share_of_peak", r.share_of_peak).optional("seconds_left", r.seconds_left);
    line("info",
         "step " + std::to_string(r.step) + (r.skipped ? " skipped: gradient overflow" : " loss " + exact(r.loss)),
         "metric", "step", numbers);
  }

  /// One line of event.action "evaluation"; event.duration is in nanoseconds.
  void on_evaluation(evaluation_record const& r) {
    object numbers;
    numbers.number("step", r.step).number("val_tokens", r.tokens).number("val_loss", r.loss);
    numbers.optional("val_bits_per_byte", r.bits_per_byte);
    numbers.optional("val_unigram_bits_per_byte", r.unigram_bits_per_byte);
    numbers.optional("val_trigram_bits_per_byte", r.trigram_bits_per_byte);
    line("info", "evaluation at step " + std::to_string(r.step) + " loss " + exact(r.loss), "metric", "evaluation",
         numbers, static_cast<std::int64_t>(r.seconds * 1e9));
  }

  /// One line of event.action "text" or, with a tag, of that tag.
  void on_text(text_record const& r) {
    object numbers;
    numbers.number("step", r.step);
    if (!r.tag.empty()) numbers.raw("tag", json_string(r.tag));
    char const* const level = r.level == text_record::severity::error     ? "error"
                              : r.level == text_record::severity::warning ? "warn"
                                                                          : "info";
    line(level, r.text, "event", "text", numbers);
  }

 private:
  struct object {
    std::string text;
    object& raw(std::string_view key, std::string_view value) {
      text += text.empty() ? "{\"" : ",\"";
      text += key;
      text += "\":";
      text += value;
      return *this;
    }
    template <class T>
    object& number(std::string_view key, T value) {
      if constexpr (std::is_integral_v<T>)
        return raw(key, std::to_string(value));
      else
        return raw(key, json_number(value));
    }
    object& optional(std::string_view key, std::optional<double> value) { return value ? number(key, *value) : *this; }
    std::string closed() const { return text.empty() ? "{}" : text + "}"; }
  };

  void line(char const* level, std::string_view message, char const* kind, char const* action, object const& numbers,
            std::optional<std::int64_t> nanoseconds = {}) {
    object event, service, out;
    event.raw("kind", json_string(kind)).raw("dataset", "\"tenon.train\"").raw("action", json_string(action));
    event.number("sequence", ++sequence_);
    if (nanoseconds) event.number("duration", *nanoseconds);
    service.raw("name", "\"tenon\"");
    if (!run_.empty()) service.raw("node", "{\"name\":" + json_string(run_) + "}");
    out.raw("@timestamp", json_string(timestamp()))
        .raw("log.level", json_string(level))
        .raw("message", json_string(message));
    out.raw("ecs.version", "\"8.11.0\"").raw("event", event.closed()).raw("service", service.closed());
    out.raw("process", "{\"pid\":" + std::to_string(::getpid()) + "}").raw("tenon", numbers.closed());
    file_.append(out.closed() + "\n");
    file_.flush();
  }

  append_file file_;
  std::string run_;
  std::int64_t sequence_ = 0;
};

}  // namespace tenon::observe
