#pragma once
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tenon/core/crc32c.hpp"
#include "tenon/observe/append_file.hpp"
#include "tenon/observe/format.hpp"
#include "tenon/observe/protobuf.hpp"
#include "tenon/observe/record.hpp"

namespace tenon::observe {

/// A value of the recipe as TensorBoard's hparams page shows it.
struct hyperparameter {
  std::string name;
  std::variant<double, bool, std::string> value;
};

/// A TensorBoard event file: TFRecord framing around Event messages (tensorboard/compat/proto/event.proto). Each start
/// of a run makes a new file; its name sorts after those that are there.
class event_file {
 public:
  /// Creates DIRECTORY/events.out.tfevents.TIME.HOST.PID.N. With `first_step` > 0 the file takes over from there:
  /// readers drop what earlier files hold for that step and later ones. Throws tenon::error naming the file.
  explicit event_file(std::filesystem::path const& directory, std::int64_t first_step = 0)
      : file_(create(directory)), flushed_(std::chrono::steady_clock::now()) {
    record(event(0).text(3, "brain.Event:2"));
    if (first_step > 0) record(event(first_step).message(7, protobuf().integer(1, session_start)));
    flush();
  }

  /// One number.
  void scalar(std::string_view tag, std::int64_t step, double value) {
    record(event(step).message(5, protobuf().message(1, number(tag, value))));
  }

  /// One text; the page renders it as Markdown.
  void text(std::string_view tag, std::int64_t step, std::string_view markdown) {
    protobuf const shape = protobuf().message(2, protobuf().integer(1, 1));
    protobuf const tensor = protobuf().integer(1, dt_string).message(2, shape).text(8, valid_utf8(markdown));
    protobuf const plugin = protobuf().text(1, "text");
    protobuf value;
    value.text(1, valid_utf8(tag))
        .message(8, tensor)
        .message(9, protobuf().message(1, plugin).integer(4, class_tensor));
    record(event(step).message(5, protobuf().message(1, value)));
  }

  /// The recipe and the tags that judge it, for the hparams page. Call once, before the first step.
  void hparams(std::vector<hyperparameter> const& values, std::vector<std::string> const& metric_tags,
               std::string const& group) {
    protobuf experiment, session;
    for (auto const& each : values) {
      std::string const name = valid_utf8(each.name);
      protobuf info, value;
      info.text(1, name);
      if (auto const* real = std::get_if<double>(&each.value)) info.integer(4, 3), value.real(2, *real);
      if (auto const* flag = std::get_if<bool>(&each.value)) info.integer(4, 2), value.integer(4, *flag ? 1 : 0);
      if (auto const* text = std::get_if<std::string>(&each.value))
        info.integer(4, 1), value.text(3, valid_utf8(*text));
      experiment.message(4, info);
      session.message(1, protobuf().text(1, name).message(2, value));
    }
    for (auto const& tag : metric_tags)
      experiment.message(5, protobuf().message(1, protobuf().text(2, valid_utf8(tag))));
    session.text(4, valid_utf8(group)).real(5, now());
    hparams_record("_hparams_/experiment", 2, experiment);
    hparams_record("_hparams_/session_start_info", 3, session);
    flush();
  }

  /// How the run ended, for the hparams page.
  void finish(bool success) {
    hparams_record("_hparams_/session_end_info", 4, protobuf().integer(1, success ? 1 : 2).real(2, now()));
    flush();
  }

  /// train/*; handed to the system at most once a second.
  void on_step(step_record const& r) {
    protobuf summary;
    summary.message(1, number("train/loss", r.loss)).message(1, number("train/lr", r.learning_rate));
    summary.message(1, number("train/grad_norm", r.gradient_norm));
    summary.message(1, number("train/tokens_per_sec", r.tokens_per_second));
    if (r.loss_scale) summary.message(1, number("train/loss_scale", *r.loss_scale));
    if (r.balance_loss) summary.message(1, number("moe/balance_loss", *r.balance_loss));
    if (r.expert_load) summary.message(1, number("moe/load_max_over_mean", *r.expert_load));
    if (r.mtp_loss) summary.message(1, number("train/mtp_loss", *r.mtp_loss));
    record(event(r.step).message(5, summary));
    if (std::chrono::steady_clock::now() - flushed_ >= std::chrono::seconds(1)) flush();
  }

  /// val/*.
  void on_evaluation(evaluation_record const& r) {
    protobuf summary;
    summary.message(1, number("val/loss", r.loss));
    if (r.bits_per_byte) summary.message(1, number("val/bits_per_byte", *r.bits_per_byte));
    if (r.unigram_bits_per_byte) summary.message(1, number("val/unigram_bits_per_byte", *r.unigram_bits_per_byte));
    if (r.trigram_bits_per_byte) summary.message(1, number("val/trigram_bits_per_byte", *r.trigram_bits_per_byte));
    record(event(r.step).message(5, summary));
    flush();
  }

  /// A text under its tag; messages without a tag are not for TensorBoard.
  void on_text(text_record const& r) {
    if (r.tag.empty()) return;
    text(r.tag, r.step, r.text);
    flush();
  }

  /// Hands everything to the system. Throws tenon::error naming the file.
  void flush() {
    file_.flush();
    flushed_ = std::chrono::steady_clock::now();
  }

  /// Where it is.
  std::filesystem::path const& path() const { return file_.path(); }

 private:
  static constexpr int session_start = 1, dt_float = 1, dt_string = 7, class_tensor = 2;

  static double now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  }
  static protobuf event(std::int64_t step) {
    protobuf e;
    e.real(1, now());
    if (step != 0) e.integer(2, step);
    return e;
  }
  static protobuf number(std::string_view tag, double value) {
    return protobuf().text(1, valid_utf8(tag)).single(2, static_cast<float>(value));
  }

  void hparams_record(char const* tag, std::uint32_t field, protobuf const& content) {
    protobuf data;
    data.integer(1, 0).message(field, content);
    protobuf const plugin = protobuf().text(1, "hparams").text(2, data.bytes());
    protobuf const shape = protobuf().message(2, protobuf().integer(1, 0));
    protobuf value;
    value.text(1, tag)
        .message(8, protobuf().integer(1, dt_float).message(2, shape))
        .message(9, protobuf().message(1, plugin));
    record(event(0).message(5, protobuf().message(1, value)));
  }

  void record(protobuf const& content) {
    std::uint64_t const size = content.bytes().size();
    std::string frame(12, '\0');
    std::uint32_t check = masked_crc32c(&size, sizeof size);
    std::memcpy(frame.data(), &size, 8);
    std::memcpy(frame.data() + 8, &check, 4);
    check = masked_crc32c(content.bytes().data(), content.bytes().size());
    frame += content.bytes();
    frame.append(reinterpret_cast<char const*>(&check), 4);
    file_.append(frame);
  }

  static append_file create(std::filesystem::path const& directory) {
    std::string const prefix = "events.out.tfevents.";
    std::int64_t time = static_cast<std::int64_t>(now());
    std::error_code failure;
    for (auto entry = std::filesystem::directory_iterator(directory, failure);
         !failure && entry != std::filesystem::directory_iterator(); entry.increment(failure)) {
      std::string const name = entry->path().filename().string();  // readers take the files in the order of their names
      std::int64_t other = 0;
      if (name.rfind(prefix, 0) == 0) std::from_chars(name.data() + prefix.size(), name.data() + name.size(), other);
      if (other < std::int64_t{1} << 40) time = std::max(time, other + 1);
    }
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    for (char& c : host)
      if (c != 0 && std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-') c = '-';
    std::string digits = std::to_string(time);
    if (digits.size() < 10) digits.insert(0, 10 - digits.size(), '0');
    static int files = 0;
    return append_file(directory / (prefix + digits + "." + host.data() + "." + std::to_string(::getpid()) + "." +
                                    std::to_string(files++)),
                       true);
  }

  append_file file_;
  std::chrono::steady_clock::time_point flushed_;
};

}  // namespace tenon::observe
