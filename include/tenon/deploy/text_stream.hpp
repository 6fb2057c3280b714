#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/data/utf8.hpp"

namespace tenon::deploy {

/// Turns the bytes of tokens, which may cut a character, into text that can be shown at once: whole characters, nothing
/// that may turn out to be the beginning of a stop text. Bytes that are not UTF-8 become U+FFFD, one for each.
class text_stream {
 public:
  /// `stops`: texts that end the generation; they are not shown. None is empty.
  explicit text_stream(std::vector<std::string> stops = {}) : stops_(std::move(stops)) {}

  /// Takes a token's bytes; returns what can be shown now. After a stop text has been seen there is nothing more.
  std::string push(std::string_view bytes) {
    if (stopped_) return "";
    held_ += bytes;
    std::size_t cut = std::string::npos;
    for (auto const& stop : stops_) cut = std::min(cut, held_.find(stop));
    if (cut != std::string::npos) {
      stopped_ = true;
      held_.resize(cut);
      return finish();
    }
    return take(held_.size() - held_back());
  }
  /// What is left at the end.
  std::string finish() { return take(held_.size()); }
  /// Whether a stop text was seen.
  bool stopped() const { return stopped_; }

 private:
  // The longest end of the held bytes that begins a stop text or is the beginning of a character.
  std::size_t held_back() const {
    std::size_t back = unfinished(held_);
    for (auto const& stop : stops_)
      for (auto n = std::min(stop.size() - 1, held_.size()); n > back; --n)
        if (std::string_view(held_).substr(held_.size() - n) == std::string_view(stop).substr(0, n)) {
          back = n;
          break;
        }
    return back;
  }
  // Bytes at the end that a further byte may complete to a character.
  static std::size_t unfinished(std::string_view s) {
    for (std::size_t n = 1; n <= 3 && n <= s.size(); ++n) {
      auto const lead = static_cast<unsigned char>(s[s.size() - n]);
      if ((lead & 0xC0) == 0x80) continue;  // a later byte of a character
      std::size_t const wants = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
      return wants > n && lead < 0xF5 ? n : 0;
    }
    return 0;
  }
  std::string take(std::size_t n) {
    std::string const bytes = held_.substr(0, n);
    held_.erase(0, n);
    std::string out;
    std::string_view rest = bytes;
    while (!rest.empty()) {
      auto const bad = std::min(data::first_invalid_utf8(rest), rest.size());
      out += rest.substr(0, bad);
      if (bad == rest.size()) break;
      out += "\xEF\xBF\xBD";
      rest.remove_prefix(bad + 1);
    }
    return out;
  }

  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace tenon::deploy
