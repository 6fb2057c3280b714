#pragma once
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "tenon/core/sha256.hpp"
#include "tenon/recipe/fields.hpp"

/// The text that digests are taken over, written piece by piece into a sink (`sink(std::string_view)`): into a string, or
/// straight into SHA-256, which the compiler can do, too. No compiler's type name is in it.
namespace tenon::canonical_text {

template <class Sink, std::integral T>
constexpr void write_count(Sink& sink, T n) {
  char digits[20]{};
  std::size_t at = sizeof digits;
  std::uint64_t rest = n < 0 ? 0 - static_cast<std::uint64_t>(n) : static_cast<std::uint64_t>(n);
  do {
    digits[--at] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (n < 0) sink("-");
  sink(std::string_view(digits + at, sizeof digits - at));
}

constexpr double ten_to(int n) {  // exact for n up to 22
  double p = 1;
  for (int i = 0; i < n; ++i) p *= 10;
  return p;
}

/// In a constant expression: the shortest digits that read back as `v`, as std::to_chars writes them. Tried are decimals of
/// up to 15 digits whose power of ten is exact in fp64, where one rounding decides; a value that is none of these (1.0 / 3)
/// is no constant expression, and is written at run time.
template <class Sink>
constexpr void write_short_number(Sink& sink, double v) {
  if (v < 0) sink("-"), v = -v;
  if (v == 0) return sink("0");
  int exponent = 0;  // of the leading digit
  while (exponent < 22 && v >= ten_to(exponent + 1)) ++exponent;
  while (exponent > -22 && v * ten_to(-exponent < 0 ? 0 : -exponent) < 1 && exponent <= 0) --exponent;
  for (int n = 1; n <= 15; ++n) {
    int const k = n - 1 - exponent;  // v * 10^k has n digits before the point
    if (k > 22 || k < -22) continue;
    double const scaled = k >= 0 ? v * ten_to(k) : v / ten_to(-k);
    auto const d = static_cast<std::int64_t>(scaled + 0.5);
    if ((k >= 0 ? static_cast<double>(d) / ten_to(k) : static_cast<double>(d) * ten_to(-k)) != v) continue;
    char digits[16]{};
    auto rest = d;
    for (int i = n; i-- > 0; rest /= 10) digits[i] = static_cast<char>('0' + rest % 10);
    if (rest != 0) continue;  // rounded up to one digit more
    // The shorter of both forms, fixed where they are equally long: [d.ddd]e[+-]xx takes n + (n > 1) + 4.
    int const scientific = n + (n > 1) + 4;
    int const fixed = exponent >= n - 1 ? exponent + 1 : exponent >= 0 ? n + 1 : n + 1 - exponent;
    if (scientific < fixed) {
      sink(std::string_view(digits, 1));
      if (n > 1) sink("."), sink(std::string_view(digits + 1, static_cast<std::size_t>(n - 1)));
      sink(exponent < 0 ? "e-" : "e+");
      int const e = exponent < 0 ? -exponent : exponent;
      if (e < 10) sink("0");
      return write_count(sink, e);
    }
    if (exponent < 0) {
      sink("0.");
      for (int i = -1; i > exponent; --i) sink("0");
      return sink(std::string_view(digits, static_cast<std::size_t>(n)));
    }
    for (int i = 0; i <= exponent || i < n; ++i) {
      if (i == exponent + 1) sink(".");
      sink(i < n ? std::string_view(digits + i, 1) : std::string_view("0"));
    }
    return;
  }
  throw error("this number has too many digits to be written by the compiler");
}

/// The text of one value. Types of a user's own are written by their to_text, at run time.
template <class Sink, class T>
constexpr void write(Sink& sink, T const& v) {
  auto const counted = [&](std::int64_t n, std::string_view unit) { write_count(sink, n), sink(unit); };
  if constexpr (std::same_as<T, bool>) {
    sink(v ? "true" : "false");
  } else if constexpr (std::integral<T>) {
    write_count(sink, v);
  } else if constexpr (std::same_as<T, double>) {
    if (std::is_constant_evaluated())
      write_short_number(sink, v);
    else
      sink(to_text(v));
  } else if constexpr (std::is_enum_v<T>) {
    sink(enumerator_names<T>[static_cast<std::size_t>(v)]);
  } else if constexpr (std::same_as<T, std::string_view>) {
    sink(v);
  } else if constexpr (std::same_as<T, steps>) {
    counted(v.count, "_steps");
  } else if constexpr (std::same_as<T, samples>) {
    counted(v.count, "_samples");
  } else if constexpr (std::same_as<T, tokens>) {
    counted(v.count, "_tokens");
  } else if constexpr (std::same_as<T, bytes>) {
    counted(v.count, "_bytes");
  } else if constexpr (std::same_as<T, percent>) {
    write(sink, v.value), sink("%");
  } else if constexpr (std::same_as<T, span_of_run>) {
    using unit = span_of_run::unit;
    if (v.in == unit::percent) return write(sink, v.amount), sink("%");
    counted(static_cast<std::int64_t>(v.amount), v.in == unit::steps ? "_steps" : "_tokens");
  } else if constexpr (std::same_as<T, point_of_run>) {
    counted(v.count, v.in == point_of_run::unit::epochs ? "_epochs" : "_steps");
  } else if constexpr (std::same_as<T, horizon>) {
    using unit = horizon::unit;
    counted(v.count, v.in == unit::steps     ? "_steps"
                     : v.in == unit::tokens  ? "_tokens"
                     : v.in == unit::samples ? "_samples"
                                             : "_epochs");
  } else {
    sink(to_text(v));
  }
}

/// "model.hidden" or "curriculum.list.0.until", without a string.
struct path {
  path const* above = nullptr;
  std::string_view name = {};
  int index = -1;
  template <class Sink>
  constexpr void write(Sink& sink) const {
    if (above != nullptr) above->write(sink), sink(".");
    if (index >= 0)
      write_count(sink, index);
    else
      sink(name);
  }
};

template <digest D, class Sink, class T>
constexpr void write_fields(Sink& sink, path const& at, T const& value) {
  if constexpr (is_leaf<T>) {
    using traits = field_traits<T>;
    if constexpr (traits::belongs_to == D) {
      typename traits::value_type const plain = value;
      at.write(sink), sink(" = "), write(sink, plain), sink("\n");
    }
  } else if constexpr (fields::is_array<T>::value) {
    int i = 0;
    for (auto const& one : value) write_fields<D>(sink, path{&at, {}, i++}, one);
  } else {
    for_each_field(value, [&](std::string_view name, auto const& member) { write_fields<D>(sink, path{&at, name}, member); });
  }
}

/// A first line that names the format and the digest, then "path = value" for each choice and field that belongs to it,
/// in the order of the recipe. precision::native appears as what it means on the target.
template <digest D, class Sink, class Recipe>
constexpr void write_recipe(Sink& sink, Recipe const& r) {
  sink("tenon recipe 1 "), write(sink, D), sink("\n");
  for_each_axis(r, [&](auto tag, auto const& given) {
    using axis_type = decltype(tag);
    auto const policy = as_meant<Recipe>(given);
    using policy_type = std::remove_cvref_t<decltype(policy)>;
    if constexpr (!is_leaf<policy_type> && axis_type::choice == D)
      sink(axis_type::name), sink(" = "), sink(policy_type::kind), sink("\n");
    write_fields<D>(sink, path{nullptr, axis_type::name}, policy);
  });
}

/// SHA-256 of that text.
template <digest D, class Recipe>
constexpr sha256::digest_type hash(Recipe const& r) {
  sha256 h;
  auto sink = [&](std::string_view piece) { h.update(piece); };
  write_recipe<D>(sink, r);
  return h.digest();
}

}  // namespace tenon::canonical_text
