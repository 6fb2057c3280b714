#pragma once
#include <tuple>
#include <utility>

#include "tenon/core/reflect.hpp"
#include "tenon/nn/contract.hpp"
#include "tenon/nn/residual.hpp"

namespace tenon::nn {

namespace chained {
/// What the links save, and the streams between them.
template <class T, class Link, class... Rest>
struct saved {
  typename Link::template saved<T> link;
  rows<float, Link::width> after;
  saved<T, Rest...> rest;
};
template <class T, class Link>
struct saved<T, Link> {
  typename Link::template saved<T> link;
};
/// Each link's own: rows of another width over the same memory would cross members.
template <class Link, class... Rest>
struct scratch {
  typename Link::scratch link;
  scratch<Rest...> rest;
};
template <class Link>
struct scratch<Link> {
  typename Link::scratch link;
};
/// The I-th place of such a list.
template <int I>
constexpr auto const& nth(auto const& list) {
  if constexpr (I == 0)
    return list;
  else
    return nth<I - 1>(list.rest);
}
}  // namespace chained

/// Links one after the other, as one block: a `stackable`, which `repeat` takes. A link is `residual<Norm, Layer>`,
/// with two groups of parameters. `Names` spells the groups of all links as they are called on disk, in order:
///
///     template <class F> struct names { norm::params<F> ln_1; attention::params<F> attn; norm::params<F> ln_2; ... };
///     using block = chain<names, residual<norm, attention>, residual<norm, feed_forward>>;
///
/// The backward pass goes through the links in reverse, in all input halves and then in all weight halves.
/// `decoder_block` is this chain for two links, written out.
template <template <class> class Names, class... Links>
struct chain {
  template <int I>
  using link = std::tuple_element_t<I, std::tuple<Links...>>;
  static constexpr int size = sizeof...(Links), width = link<0>::width;
  static_assert(((Links::width == width) && ...),
                "[tenon.chain_width] the links of a chain differ in width, and they work on one stream. Give them all the same "
                "width");
  static_assert(
      num_fields<Names<described>> == 2 * size,
      "[tenon.chain_names] a chain's names are two groups of parameters a link, and the struct has another number. Write "
      "the norm's and the layer's of each link, in the order of the links");

  template <class F>
  using params = Names<F>;
  template <class T>
  using saved = chained::saved<T, Links...>;
  struct scratch {
    rows<float, width> d_branch;
    chained::scratch<Links...> links;
  };

  template <mode M, class X, class T>
  static constexpr void forward(X& x, micro_batch const& b, params<weights<T>> const& p, saved<T> const& s,
                                rows<float, width> in, rows<float, width> out) {
    in_order([&]<int I>() {
      link<I>::template forward<M>(x, b, field<2 * I>(p), field<2 * I + 1>(p), chained::nth<I>(s).link,
                                   before<I>(s, in), before<I + 1>(s, out));
    });
  }

  template <class X, class T>
  static constexpr void backward_input(X& x, micro_batch const& b, params<weights<T>> const& p, saved<T> const& s,
                                       scratch const& t, rows<float, width> in, rows<float, width> d_stream) {
    in_reverse([&]<int I>() {
      link<I>::backward_input(x, b, field<2 * I>(p), field<2 * I + 1>(p), chained::nth<I>(s).link,
                              chained::nth<I>(t.links).link, t.d_branch, before<I>(s, in), d_stream);
    });
  }

  template <class X, class T>
  static constexpr void backward_weight(X& x, micro_batch const& b, params<gradients> const& g, saved<T> const& s) {
    x.barrier();  // a weight's gradient reads the rows of every member
    in_reverse([&]<int I>() {
      link<I>::backward_weight(x, b, field<2 * I>(g), field<2 * I + 1>(g), chained::nth<I>(s).link);
    });
    x.barrier();
  }

 private:
  /// The stream before link I (or after the last one): the block's own at its ends, else what is kept between two
  /// links.
  template <int I, class T>
  static constexpr rows<float, width> before(chained::saved<T, Links...> const& s, rows<float, width> end) {
    if constexpr (I == 0 || I == size)
      return end;
    else
      return chained::nth<I - 1>(s).after;
  }
  template <class F>
  static constexpr void in_order(F&& f) {
    [&]<int... I>(std::integer_sequence<int, I...>) { (f.template operator()<I>(), ...); }
    (std::make_integer_sequence<int, size>{});
  }
  template <class F>
  static constexpr void in_reverse(F&& f) {
    in_order([&]<int I>() { f.template operator()<size - 1 - I>(); });
  }
};

}  // namespace tenon::nn
