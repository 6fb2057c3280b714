#pragma once
#include <algorithm>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/core/reflect.hpp"
#include "tenon/core/units.hpp"

/// Values as text and back. to_text is canonical: the same on every compiler, and parse_text reads it back exactly.
namespace tenon {

/// Levenshtein distance: insertions, deletions and replacements that turn one text into the other.
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t const replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

/// The candidate nearest to what was written; empty where none is nearer than half of its length.
inline std::string nearest(std::string_view written, std::vector<std::string> const& candidates) {
  std::string best;
  std::size_t least = std::max<std::size_t>(2, written.size() / 2) + 1;
  for (auto const& c : candidates) {
    std::size_t const d = edit_distance(written, c);
    if (d < least) least = d, best = c;
  }
  return best;
}

/// A text that lives as long as the program, for fields of type std::string_view that are set at run time.
inline std::string_view keep_text(std::string_view text) {
  static std::set<std::string, std::less<>> kept;
  return *kept.emplace(text).first;
}

/// Shortest text that reads back as the same number.
inline std::string to_text(double v) {
  char buffer[32];
  auto const end = std::to_chars(buffer, buffer + sizeof buffer, v).ptr;
  return {buffer, end};
}
template <std::integral T>
std::string to_text(T v) {
  if constexpr (std::same_as<T, bool>)
    return v ? "true" : "false";
  else
    return std::to_string(v);
}
inline std::string to_text(std::string_view v) { return std::string(v); }
template <class T>
requires std::is_enum_v<T> std::string to_text(T v) {
  return std::string(enumerator_names<T>[static_cast<std::size_t>(v)]);
}
inline std::string to_text(steps v) { return std::to_string(v.count) + "_steps"; }
inline std::string to_text(micro_steps v) { return std::to_string(v.count) + "_micro_steps"; }
inline std::string to_text(samples v) { return std::to_string(v.count) + "_samples"; }
inline std::string to_text(tokens v) { return std::to_string(v.count) + "_tokens"; }
inline std::string to_text(epochs v) { return std::to_string(v.count) + "_epochs"; }
inline std::string to_text(minutes v) { return std::to_string(v.count) + "_minutes"; }
inline std::string to_text(seconds v) { return std::to_string(v.count) + "_seconds"; }
inline std::string to_text(bytes v) { return std::to_string(v.count) + "_bytes"; }
inline std::string to_text(percent v) { return to_text(v.value) + "%"; }
inline std::string to_text(span_of_run v) {
  if (v.in == span_of_run::unit::percent) return to_text(percent{v.amount});
  return std::to_string(static_cast<std::int64_t>(v.amount)) +
         (v.in == span_of_run::unit::steps ? "_steps" : "_tokens");
}
inline std::string to_text(point_of_run v) {
  return std::to_string(v.count) + (v.in == point_of_run::unit::epochs ? "_epochs" : "_steps");
}
inline std::string to_text(period v) {
  return std::to_string(v.count) + (v.in == period::unit::steps ? "_steps" : "_minutes");
}

namespace text {

/// A number and the unit behind it: "1'000_steps" is 1000 and "steps", "5%" is 5 and "percent", "10m" is 10 and
/// "minutes".
struct amount {
  double number = 0;
  std::string unit;
};

[[noreturn]] inline void refuse(std::string_view written, std::string_view expected) {
  throw error("\"" + std::string(written) + "\" is not " + std::string(expected));
}

inline amount read_amount(std::string_view written, std::string_view expected) {
  std::string digits;
  for (char c : written)
    if (c != '\'') digits += c;
  amount a;
  auto const [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), a.number);
  if (code != std::errc{} || !std::isfinite(a.number)) refuse(written, expected);
  std::string_view unit(end, static_cast<std::size_t>(digits.data() + digits.size() - end));
  while (!unit.empty() && (unit.front() == '_' || unit.front() == ' ')) unit.remove_prefix(1);
  a.unit = unit;
  if (unit == "%") a.unit = "percent";
  if (unit == "m" || unit == "min" || unit == "minute") a.unit = "minutes";
  if (unit == "s" || unit == "sec" || unit == "second") a.unit = "seconds";
  if (unit == "step" || unit == "token" || unit == "sample" || unit == "epoch") a.unit += "s";
  return a;
}

/// The number of an amount as a whole one.
inline std::int64_t whole(amount const& a, std::string_view written, std::string_view expected) {
  if (a.number != std::floor(a.number) || std::abs(a.number) > 9007199254740992.0) refuse(written, expected);
  return static_cast<std::int64_t>(a.number);
}

template <class Unit>
void read_unit(std::string_view written, std::string_view name, Unit& out) {
  std::string const expected = "a whole number of " + std::string(name) + ", such as 100_" + std::string(name);
  auto const a = read_amount(written, expected);
  if (!a.unit.empty() && a.unit != name) refuse(written, expected);
  out = Unit{whole(a, written, expected)};
}

}  // namespace text

/// Reads a value from text, or throws tenon::error: "..." is not ... (what is expected). Bare numbers take the unit of
/// the field; where a field has a choice of units, steps.
inline void parse_text(std::string_view written, double& out) {
  auto const [end, code] = std::from_chars(written.data(), written.data() + written.size(), out);
  if (code != std::errc{} || end != written.data() + written.size() || !std::isfinite(out))
    text::refuse(written, "a number, such as 3e-4");
}
inline void parse_text(std::string_view written, bool& out) {
  if (written == "true" || written == "1" || written == "on" || written == "yes")
    out = true;
  else if (written == "false" || written == "0" || written == "off" || written == "no")
    out = false;
  else
    text::refuse(written, "true or false");
}
template <std::integral T>
requires(!std::same_as<T, bool>) void parse_text(std::string_view written, T& out) {
  auto const [end, code] = std::from_chars(written.data(), written.data() + written.size(), out);
  if (code != std::errc{} || end != written.data() + written.size())
    text::refuse(written, std::is_unsigned_v<T> ? "a whole number from 0" : "a whole number");
}
inline void parse_text(std::string_view written, std::string_view& out) { out = keep_text(written); }
template <class T>
requires std::is_enum_v<T>
void parse_text(std::string_view written, T& out) {
  std::string all;
  for (std::size_t i = 0; i < enumerator_names<T>.size() && !enumerator_names<T>[i].empty(); ++i) {
    if (enumerator_names<T>[i] == written) {
      out = static_cast<T>(i);
      return;
    }
    all += (i == 0 ? "" : ", ") + std::string(enumerator_names<T>[i]);
  }
  text::refuse(written, "one of " + all);
}
inline void parse_text(std::string_view written, steps& out) { text::read_unit(written, "steps", out); }
inline void parse_text(std::string_view written, micro_steps& out) { text::read_unit(written, "micro_steps", out); }
inline void parse_text(std::string_view written, samples& out) { text::read_unit(written, "samples", out); }
inline void parse_text(std::string_view written, tokens& out) { text::read_unit(written, "tokens", out); }
inline void parse_text(std::string_view written, epochs& out) { text::read_unit(written, "epochs", out); }
inline void parse_text(std::string_view written, minutes& out) { text::read_unit(written, "minutes", out); }
inline void parse_text(std::string_view written, seconds& out) { text::read_unit(written, "seconds", out); }
inline void parse_text(std::string_view written, bytes& out) {
  std::string_view const expected = "an amount of memory, such as 24_GiB";
  auto a = text::read_amount(written, expected);
  if (a.unit == "KiB")
    a.number *= 1024.0;
  else if (a.unit == "MiB")
    a.number *= 1048576.0;
  else if (a.unit == "GiB")
    a.number *= 1073741824.0;
  else if (a.unit == "MB")
    a.number *= 1e6;
  else if (a.unit == "GB")
    a.number *= 1e9;
  else if (!a.unit.empty() && a.unit != "bytes")
    text::refuse(written, expected);
  out = bytes{text::whole(a, written, expected)};
}
inline void parse_text(std::string_view written, percent& out) {
  auto const a = text::read_amount(written, "a percentage, such as 5%");
  if (!a.unit.empty() && a.unit != "percent") text::refuse(written, "a percentage, such as 5%");
  out = percent{a.number};
}
inline void parse_text(std::string_view written, span_of_run& out) {
  std::string_view const expected = "a part of the run, such as 1000_steps, 5% or 2000000_tokens";
  auto const a = text::read_amount(written, expected);
  if (a.unit == "percent")
    out = percent{a.number};
  else if (a.unit.empty() || a.unit == "steps")
    out = steps{text::whole(a, written, expected)};
  else if (a.unit == "tokens")
    out = tokens{text::whole(a, written, expected)};
  else
    text::refuse(written, expected);
}
inline void parse_text(std::string_view written, point_of_run& out) {
  std::string_view const expected = "a point of the run, such as 5_epochs or 1000_steps";
  auto const a = text::read_amount(written, expected);
  if (a.unit == "epochs")
    out = epochs{text::whole(a, written, expected)};
  else if (a.unit.empty() || a.unit == "steps")
    out = steps{text::whole(a, written, expected)};
  else
    text::refuse(written, expected);
}
inline void parse_text(std::string_view written, period& out) {
  std::string_view const expected = "a period, such as 1000_steps or 10_minutes";
  auto const a = text::read_amount(written, expected);
  if (a.unit == "minutes")
    out = minutes{text::whole(a, written, expected)};
  else if (a.unit.empty() || a.unit == "steps")
    out = steps{text::whole(a, written, expected)};
  else
    text::refuse(written, expected);
}

}  // namespace tenon
