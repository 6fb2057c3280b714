#pragma once
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tenon/observe/format.hpp"
#include "tenon/observe/record.hpp"

namespace tenon::observe {

/// "step 1,240/8,000 15%  loss 3.2140  lr 2.98e-04  norm 0.83  41.2k tokens/s  62% of peak  12 min 04 s left"; of models
/// with routed experts also their balance loss and the fullest expert's load, "balance 1.21e-04  load 1.38".
inline std::string step_line(step_record const& r) {
  std::string line = "step " + grouped(r.step);
  if (r.total_steps > 0) {
    line += "/" + grouped(r.total_steps) + " ";
    line += std::to_string(static_cast<int>(100.0 * static_cast<double>(r.step) / static_cast<double>(r.total_steps))) +
            "%";
  }
  line += "  loss " + fixed_point(r.loss, 4) + "  lr " + scientific(r.learning_rate, 2) + "  norm " +
          fixed_point(r.gradient_norm, 2);
  if (r.mtp_loss) line += "  mtp " + fixed_point(*r.mtp_loss, 4);
  if (r.balance_loss) line += "  balance " + scientific(*r.balance_loss, 2);
  if (r.expert_load) line += "  load " + fixed_point(*r.expert_load, 2);
  if (r.loss_scale) line += "  scale " + short_number(*r.loss_scale);
  if (r.skipped) line += " (skipped: overflow)";
  line += "  " + short_number(r.tokens_per_second) + " tokens/s";
  if (r.share_of_peak) line += "  " + fixed_point(*r.share_of_peak * 100, 0) + "% of peak";
  if (r.seconds_left) line += "  " + duration_text(*r.seconds_left) + " left";
  return line;
}

/// "step 500: held-out loss 3.1023, 1.620 bits/byte (unigram 4.812, trigram 2.210) in 1.2 s".
inline std::string evaluation_line(evaluation_record const& r) {
  std::string line = "step " + grouped(r.step) + ": held-out loss " + fixed_point(r.loss, 4);
  if (r.bits_per_byte) line += ", " + fixed_point(*r.bits_per_byte, 3) + " bits/byte";
  if (r.unigram_bits_per_byte || r.trigram_bits_per_byte) {
    line += " (";
    if (r.unigram_bits_per_byte) line += "unigram " + fixed_point(*r.unigram_bits_per_byte, 3);
    if (r.unigram_bits_per_byte && r.trigram_bits_per_byte) line += ", ";
    if (r.trigram_bits_per_byte) line += "trigram " + fixed_point(*r.trigram_bits_per_byte, 3);
    line += ")";
  }
  return line + (r.seconds > 0 ? " in " + duration_text(r.seconds) : "");
}

/// Text made harmless for a terminal: valid UTF-8, control characters other than newline and tab as '?'.
inline std::string printable(std::string_view text) {
  std::string out = valid_utf8(text);
  for (std::size_t i = 0; i < out.size(); ++i) {
    auto const code = static_cast<unsigned char>(out[i]);
    if ((code < 0x20 && code != '\n' && code != '\t') || code == 0x7F) out[i] = '?';
    if (code == 0xC2 && static_cast<unsigned char>(out[i + 1]) < 0xA0) out[i] = '?', out[i + 1] = '?';  // C1 controls
  }
  return out;
}

/// How a console shows its progress.
struct console_options {
  std::int64_t log_every = 10;        ///< plain lines: at least one in this many steps
  std::optional<bool> terminal = {};  ///< default: whether the stream is one
};

/// Progress for people. On a terminal one line is rewritten, at most ten times a second; elsewhere a plain line is
/// printed every `log_every` steps or when two seconds have passed since the last. The first and the last step are
/// always shown. A stream that cannot be written to does not stop the run.
template <class Clock = std::chrono::steady_clock>
class console {
 public:
  /// Writes to `stream`, which must outlive it.
  explicit console(std::FILE* stream = stdout, console_options options = {})
      : stream_(stream),
        log_every_(options.log_every),
        terminal_(options.terminal.value_or(::isatty(::fileno(stream)) == 1)) {}
  console(console&& other) noexcept
      : stream_(other.stream_),
        log_every_(other.log_every_),
        terminal_(other.terminal_),
        shown_(other.shown_),
        last_step_(other.last_step_),
        last_time_(other.last_time_),
        pending_(std::exchange(other.pending_, {})),
        open_line_(std::exchange(other.open_line_, false)),
        waiting_(std::exchange(other.waiting_, false)) {}
  console& operator=(console&&) = delete;
  /// Ends the line being rewritten.
  ~console() { end_line(); }

  void on_step(step_record const& r) {
    auto const now = Clock::now();
    if (waiting_) end_line();
    bool const edge = !shown_ || r.step >= r.total_steps;
    if (terminal_) {
      pending_ = step_line(r);
      if (!edge && now - last_time_ < std::chrono::milliseconds(100)) return;
      redraw();
    } else {
      if (!edge && r.step - last_step_ < log_every_ && now - last_time_ < std::chrono::seconds(2)) return;
      print(step_line(r) + "\n");
    }
    shown_ = true;
    last_step_ = r.step;
    last_time_ = now;
  }

  void on_evaluation(evaluation_record const& r) {
    end_line();
    print(evaluation_line(r) + "\n");
  }

  void on_text(text_record const& r) {
    end_line();
    char const* const mark = r.level == text_record::severity::error     ? "error: "
                             : r.level == text_record::severity::warning ? "warning: "
                                                                         : "";
    std::string text = mark + printable(r.text);
    if (text.empty() || text.back() != '\n') text += '\n';
    print(text);
  }

  /// What goes on between two steps and may take long, such as an evaluation; `text()` says how far it is, and is asked
  /// only when that is shown: on a terminal in a line that the next one replaces, elsewhere a line when two seconds have
  /// passed without any, and then one in ten seconds.
  template <class Text>
  void on_wait(Text&& text) {
    auto const now = Clock::now();
    if (!waiting_) end_line(), untold_ = waiting_ = true, last_wait_ = now;
    if (terminal_) {
      if (open_line_ && now - last_wait_ < std::chrono::milliseconds(100)) return;
      pending_ = text();
      redraw();
    } else {
      if (now - last_wait_ < (untold_ ? std::chrono::seconds(2) : std::chrono::seconds(10))) return;
      print(text() + "\n");
      untold_ = false;
    }
    last_wait_ = now;
  }

 private:
  void redraw() {
    std::size_t width = 80;
    winsize size{};
    if (::ioctl(::fileno(stream_), TIOCGWINSZ, &size) == 0 && size.ws_col > 1) width = size.ws_col;
    print("\r" + pending_.substr(0, width - 1) + "\x1b[K");  // one column less, or some terminals wrap
    pending_.clear();
    open_line_ = true;
  }
  void end_line() {
    if (waiting_ && open_line_) print("\r\x1b[K"), open_line_ = false;
    waiting_ = false;
    if (!pending_.empty()) redraw();  // the newest numbers, also if they came within a tenth of a second
    if (open_line_) print("\n");
    open_line_ = false;
  }
  void print(std::string const& text) {
    (void)std::fwrite(text.data(), 1, text.size(), stream_);
    (void)std::fflush(stream_);
  }

  std::FILE* stream_;
  std::int64_t log_every_;
  bool terminal_;
  bool shown_ = false;
  std::int64_t last_step_ = 0;
  typename Clock::time_point last_time_{};
  std::string pending_;
  bool open_line_ = false;
  bool waiting_ = false;  ///< the last thing was on_wait
  bool untold_ = false;   ///< and nothing of it was printed yet (plain lines)
  typename Clock::time_point last_wait_{};
};

}  // namespace tenon::observe
