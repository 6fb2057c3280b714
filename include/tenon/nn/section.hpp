#pragma once
#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "tenon/nn/layout.hpp"

namespace tenon::nn {

/// `Count` equal blocks of parameters that a store lends out one by one; on disk they are layers First, First + 1, ...
template <class Block, int Count, int First>
struct section {
  using block = Block;
  static constexpr int count = Count, first = First;
  static constexpr std::int64_t block_size = padded_parameters<Block>(), size = Count * block_size;
  static constexpr std::int64_t parameters = Count * num_parameters<Block>();
};
template <class... Sections>
struct section_list {
  static constexpr int size = sizeof...(Sections);
  static constexpr std::int64_t elements = (std::int64_t{0} + ... + Sections::size);
  static constexpr std::int64_t parameters = (std::int64_t{0} + ... + Sections::parameters);
  static constexpr int blocks = (0 + ... + Sections::count);
  /// Elements before section `index`.
  static constexpr std::int64_t offset(int index) {
    std::array<std::int64_t, sizeof...(Sections)> const sizes{Sections::size...};
    std::int64_t total = 0;
    for (int i = 0; i < index; ++i) total += sizes[std::size_t(i)];
    return total;
  }
};

namespace detail {
template <class Done, class... Sections>
struct listed {
  using type = Done;
};
template <class... Done, class First, class... Rest>
struct listed<section_list<Done...>, First, Rest...>
    : listed<std::conditional_t<First::count <= 0, section_list<Done...>, section_list<Done..., First>>, Rest...> {};
}  // namespace detail
/// The sections that have any block.
template <class... Sections>
using list_sections = typename detail::listed<section_list<>, Sections...>::type;

namespace detail {
template <int I, class First, class... Rest>
struct nth_section : nth_section<I - 1, Rest...> {};
template <class First, class... Rest>
struct nth_section<0, First, Rest...> {
  using type = First;
};
template <int I, class List>
struct section_of;
template <int I, class... Sections>
struct section_of<I, section_list<Sections...>> : nth_section<I, Sections...> {};

template <class Model>
auto sections_of_model() {
  if constexpr (requires { typename Model::sections; })
    return typename Model::sections{};
  else
    return section_list<section<typename Model::block_layer, Model::layers, 0>>{};
}
}  // namespace detail

/// A model's blocks by kind: what it names `sections`, or one section of its `block_layer`.
template <class Model>
using sections_of = decltype(detail::sections_of_model<Model>());
template <class Model, int I>
using section_at = typename detail::section_of<I, sections_of<Model>>::type;

/// f(std::integral_constant<int, I>{}) for each section, in order.
template <class Model, class F>
constexpr void for_each_section(F&& f) {
  [&]<int... I>(std::integer_sequence<int, I...>) { (f(std::integral_constant<int, I>{}), ...); }
  (std::make_integer_sequence<int, sections_of<Model>::size>{});
}

}  // namespace tenon::nn
