#pragma once
#include <array>
#include <boost/pfr/core.hpp>
#include <boost/pfr/tuple_size.hpp>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

/// Names and fields of plain aggregates. The only header that includes Boost.PFR.
namespace tenon {

namespace reflect {

template <class T>
struct holder {
  T value;
};
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-var-template"
#pragma clang diagnostic ignored "-Wundefined-internal"
#endif
/// Never defined: only the addresses of its members are named, inside template arguments.
template <class T>
extern holder<T> const nowhere;

template <class Pointer>
struct wrapped {
  Pointer pointer;
};
template <class Pointer>
wrapped(Pointer) -> wrapped<Pointer>;

constexpr bool in_identifier(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) > 127;
}

/// The last identifier in a compiler's rendering of a template argument.
constexpr std::string_view last_identifier(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0 && !in_identifier(text[end - 1])) --end;
  std::size_t begin = end;
  while (begin > 0 && in_identifier(text[begin - 1])) --begin;
  return text.substr(begin, end - begin);
}

template <auto Value>
consteval std::string_view rendering() {
  std::string_view text = __PRETTY_FUNCTION__;
  text = text.substr(text.find("Value = ") + 8);
  std::size_t const end = text.find(';') == text.npos ? text.rfind(']') : text.find(';');
  return text.substr(0, end);
}

}  // namespace reflect

/// Number of data members of an aggregate.
template <class T>
inline constexpr std::size_t num_fields = boost::pfr::tuple_size_v<T>;

/// Name of the I-th data member of an aggregate without bases, C arrays, bit-fields or references.
template <class T, std::size_t I>
inline constexpr std::string_view field_name =
    reflect::last_identifier(reflect::rendering<reflect::wrapped{&boost::pfr::get<I>(reflect::nowhere<T>.value)}>());
#if defined(__clang__)
#pragma clang diagnostic pop
#endif

/// Type of the I-th data member.
template <class T, std::size_t I>
using field_type = boost::pfr::tuple_element_t<I, T>;

/// Calls f(name, member) for each data member in declaration order; the member is a reference into `value`.
template <class T, class F>
constexpr void for_each_field(T& value, F&& f) {
  using plain = std::remove_const_t<T>;
  [&]<std::size_t... I>(std::index_sequence<I...>) { (f(field_name<plain, I>, boost::pfr::get<I>(value)), ...); }
  (std::make_index_sequence<num_fields<plain>>{});
}

/// The I-th data member of an aggregate.
template <std::size_t I, class T>
constexpr auto& field(T& value) {
  return boost::pfr::get<I>(value);
}

/// Name of an enumerator; empty where the enumeration has none of that value.
template <auto Value>
consteval std::string_view enumerator_name() {
  constexpr std::string_view text = reflect::rendering<Value>();
  constexpr std::string_view name = reflect::last_identifier(text);
  if constexpr (name.empty() || (name[0] >= '0' && name[0] <= '9'))
    return {};
  else
    return name;
}

/// Names of the enumerators 0, 1, 2, ... of an enumeration, up to the first value that has none (at most 16).
template <class Enum>
inline constexpr auto enumerator_names = []<std::size_t... I>(std::index_sequence<I...>) {
  return std::array<std::string_view, sizeof...(I)>{enumerator_name<static_cast<Enum>(I)>()...};
}
(std::make_index_sequence<16>{});

}  // namespace tenon
