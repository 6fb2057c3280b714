#pragma once
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

namespace tenon::observe {

/// "12,345,678". Never depends on the locale.
inline std::string grouped(std::int64_t value) {
  std::string text = std::to_string(value);
  for (auto place = static_cast<std::ptrdiff_t>(text.size()) - 3; place > (value < 0 ? 1 : 0); place -= 3)
    text.insert(static_cast<std::size_t>(place), 1, ',');
  return text;
}

/// `value` with this many digits after the point; "nan", "inf", "-inf" as such.
inline std::string fixed_point(double value, int digits) {
  std::array<char, 400> text;
  auto const end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, digits).ptr;
  return {text.data(), end};
}

/// "2.98e-04": this many digits after the point.
inline std::string scientific(double value, int digits) {
  std::array<char, 64> text;
  auto const end =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::scientific, digits).ptr;
  return {text.data(), end};
}

/// The shortest text that reads back as the same number.
inline std::string exact(double value) {
  std::array<char, 64> text;
  auto const end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

/// About three significant digits with a decimal prefix: "950", "41.2k", "3.10M", "2.00G".
inline std::string short_number(double value) {
  if (!std::isfinite(value)) return exact(value);
  static constexpr char const* prefix[] = {"", "k", "M", "G", "T", "P"};
  std::size_t step = 0;
  double size = std::abs(value);
  while (step < 5 && size >= 999.5) size /= 1000, ++step;
  int const digits = step == 0 && size == std::floor(size) ? 0 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
  return (value < 0 ? "-" : "") + fixed_point(size, digits) + prefix[step];
}

/// "512 B", "1.50 MiB", "24.0 GiB".
inline std::string bytes_text(std::uint64_t bytes) {
  static constexpr char const* unit[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
  std::size_t step = 0;
  double size = static_cast<double>(bytes);
  while (step < 5 && size >= 1023.5) size /= 1024, ++step;
  return fixed_point(size, step == 0 ? 0 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0) + unit[step];
}

/// "0.42 s", "7.3 s", "3 min 05 s", "2 h 07 min", "3 d 04 h".
inline std::string duration_text(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "unknown";
  if (seconds < 0.995) return fixed_point(seconds, 2) + " s";
  if (seconds < 9.95) return fixed_point(seconds, 1) + " s";
  auto const two = [](std::int64_t value) { return (value < 10 ? "0" : "") + std::to_string(value); };
  auto const whole = static_cast<std::int64_t>(std::min(seconds + 0.5, 1e15));
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3'600) return std::to_string(whole / 60) + " min " + two(whole % 60) + " s";
  std::int64_t const minutes = (whole + 30) / 60;
  if (minutes < 24 * 60) return std::to_string(minutes / 60) + " h " + two(minutes % 60) + " min";
  std::int64_t const hours = (minutes + 30) / 60;
  return std::to_string(hours / 24) + " d " + two(hours % 24) + " h";
}

/// "2026-01-31T23:59:59.123Z": RFC 3339 in UTC with milliseconds.
inline std::string timestamp(std::chrono::system_clock::time_point when = std::chrono::system_clock::now()) {
  auto const milliseconds = std::chrono::floor<std::chrono::milliseconds>(when.time_since_epoch()).count();
  auto const second = static_cast<std::time_t>(milliseconds >= 0 ? milliseconds / 1000 : (milliseconds - 999) / 1000);
  std::tm parts{};
  ::gmtime_r(&second, &parts);
  std::array<char, 40> text;
  std::size_t const size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S.", &parts);
  std::string const fraction = std::to_string(1000 + milliseconds - static_cast<std::int64_t>(second) * 1000);
  return std::string(text.data(), size) + fraction.substr(1) + "Z";
}

/// How many bytes the UTF-8 character at the start of `text` takes, or 0 if there is none that is valid.
inline std::size_t utf8_length(std::string_view text) {
  auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return 0;
  unsigned char const first = byte(0);
  if (first < 0x80) return 1;
  std::size_t const size = first >= 0xC2 && first < 0xE0   ? 2
                           : (first & 0xF0) == 0xE0        ? 3
                           : first >= 0xF0 && first < 0xF5 ? 4
                                                           : 0;
  if (size == 0 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F)) return 0;
  if ((first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F)) return 0;
  return size;
}

/// `text` as valid UTF-8: each byte that is not becomes U+FFFD.
inline std::string valid_utf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t const size = utf8_length(text);
    out += size == 0 ? std::string_view("\xEF\xBF\xBD") : text.substr(0, size);
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return out;
}

/// A JSON string, quotes included; bytes that are not UTF-8 become U+FFFD.
inline std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (char const c : valid_utf8(text)) {
    auto const code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += '\\', out += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (c == '\r')
      out += "\\r";
    else if (code < 0x20 || code == 0x7F)
      out += "\\u00", out += "01234567"[code >> 4], out += "0123456789abcdef"[code & 15];
    else
      out += c;
  }
  return out + '"';
}

/// A JSON number that reads back the same; "NaN", "Infinity", "-Infinity" as strings, since JSON has no such numbers.
inline std::string json_number(double value) {
  if (std::isnan(value)) return "\"NaN\"";
  if (std::isinf(value)) return value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  return exact(value);
}

}  // namespace tenon::observe
