#pragma once
#include <type_traits>

#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

namespace tenon::nn {

/// One stack of blocks after another, such as the dense blocks of DeepSeek-V3 before those with experts. Each is a
/// `repeat`; `acquire(std::integral_constant<int, S>{}, i)` lends block i of stack S = 0 or 1, `sink` likewise.
template <class First, class Second>
struct then {
  static constexpr int width = First::width;
  static_assert(width == Second::width, "[tenon.then_width] two stacks behind each other differ in width, and they work on one stream. Give both the "
                "same width");
  using zero = std::integral_constant<int, 0>;
  using one = std::integral_constant<int, 1>;

  template <class T>
  struct saved {
    typename First::template saved<T> first;
    typename Second::template saved<T> second;
  };
  template <class T>
  struct forward_state {
    typename First::template forward_state<T> first;
    typename Second::template forward_state<T> second;
  };
  template <class T>
  struct cache {
    typename First::template cache<T> first;
    typename Second::template cache<T> second;
  };
  static constexpr auto entry(auto const& s) { return First::entry(s.first); }

  template <class X, class T, class Acquire>
  static constexpr void forward_train(X& x, micro_batch const& b, saved<T> const& s, rows<float, width> out,
                                      Acquire acquire) {
    First::forward_train(x, b, s.first, Second::entry(s.second), [&](int i) { return acquire(zero{}, i); });
    Second::forward_train(x, b, s.second, out, [&](int i) { return acquire(one{}, i); });
  }
  /// `State`: saved or forward_state.
  template <mode M, class X, class State, class T, class Acquire>
  static constexpr void forward_only(X& x, micro_batch const& b, State const& s, cache<T> const* kv,
                                     rows<float, width> out, Acquire acquire) {
    First::template forward_only<M>(x, b, s.first, kv == nullptr ? nullptr : &kv->first, Second::entry(s.second),
                                    [&](int i) { return acquire(zero{}, i); });
    Second::template forward_only<M>(x, b, s.second, kv == nullptr ? nullptr : &kv->second, out,
                                     [&](int i) { return acquire(one{}, i); });
  }
  /// `scratch.first()` and `scratch.second()` give each stack's own.
  template <class X, class T, class Scratch, class Acquire, class Sink>
  static constexpr void backward(X& x, micro_batch const& b, saved<T> const& s, Scratch const& scratch,
                                 rows<float, width> d_stream, Acquire acquire, Sink sink) {
    Second::backward(
        x, b, s.second, scratch.second(), d_stream, [&](int i) { return acquire(one{}, i); },
        [&](int i) { return sink(one{}, i); });
    First::backward(
        x, b, s.first, scratch.first(), d_stream, [&](int i) { return acquire(zero{}, i); },
        [&](int i) { return sink(zero{}, i); });
  }
};

}  // namespace tenon::nn
