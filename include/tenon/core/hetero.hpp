#pragma once
#include <boost/hana/at.hpp>
#include <boost/hana/cartesian_product.hpp>
#include <boost/hana/for_each.hpp>
#include <boost/hana/tuple.hpp>
#include <boost/hana/unpack.hpp>
#include <cstddef>
#include <utility>

/// Lists of values of different types. The only header that includes Boost.Hana; no name of it appears in a signature.
namespace tenon::hetero {

/// A list, made by make(a, b, ...).
template <class... Ts>
constexpr auto make(Ts... values) {
  return boost::hana::make_tuple(std::move(values)...);
}

/// Calls f(value) for each value in order.
template <class List, class F>
constexpr void for_each(List&& list, F&& f) {
  boost::hana::for_each(std::forward<List>(list), std::forward<F>(f));
}

/// The I-th value.
template <std::size_t I, class List>
constexpr auto at(List const& list) {
  return boost::hana::at_c<I>(list);
}

/// Calls f(a, b, ...) once for every combination of one value out of each list; the last list varies fastest.
template <class F, class... Lists>
constexpr void for_each_combination(F&& f, Lists... lists) {
  boost::hana::for_each(boost::hana::cartesian_product(boost::hana::make_tuple(std::move(lists)...)),
                        [&](auto const& one) { boost::hana::unpack(one, f); });
}

}  // namespace tenon::hetero
