#pragma once
#include <array>

#include "tenon/nn/context.hpp"
#include "tenon/nn/layout.hpp"

namespace tenon::nn {

/// `Count` equal blocks, one after the other; compile time does not grow with `Count`.
///
/// Recomputation: with `Every == 0` each block keeps what its backward pass needs. With `Every == k` only the stream
/// before every k-th block is kept; going back, a segment of k blocks runs forward once more, into memory that all
/// segments share. A block whose forward pass takes decisions (where a router sends its rows) declares them as
/// `kept<T>` and a function `use_kept(saved&, kept const&)`: they have a place of their own for each block, and
/// recomputing reads them.
template <int Count, class Block, int Every = 0>
struct repeat {
  static constexpr bool has_kept = Every != 0 && requires { typename Block::template kept<float>; };
  struct nothing {};
  template <class T, bool = has_kept>
  struct kept_of {
    using type = nothing;
  };
  template <class T>
  struct kept_of<T, true> {
    using type = typename Block::template kept<T>;
  };

  static constexpr int width = Block::width, count = Count;
  static constexpr int slots = Every == 0 ? Count : Every < Count ? Every : Count;
  static constexpr int segments = (Count + slots - 1) / slots;
  static constexpr int inputs = Every == 0 ? Count : segments + slots - 1;

  template <class T, int Inputs = inputs, int Slots = slots>
  struct saved {
    std::array<rows<float, width>, Inputs> stream;  ///< before each block, or before each segment and inside one
    std::array<typename Block::template saved<T>, Slots> block;
    std::array<typename kept_of<T>::type, has_kept ? Count : 0> kept;
  };
  /// For `forward_only` alone: one block's memory and two streams, whatever the depth.
  template <class T>
  using forward_state = saved<T, 2, 1>;
  template <class T>
  using cache = std::array<typename Block::template cache<T>, Count>;

  /// Where the stream before the first block lives, in training and forward only.
  [[gnu::always_inline]] static constexpr auto const& entry(auto const& s) { return s.stream[0]; }

  /// Where the stream before block `i` lives in training.
  template <class T>
  [[gnu::always_inline]] static constexpr rows<float, width> const& input(saved<T> const& s, int i) {
    if constexpr (Every == 0) return s.stream[i];
    return i % slots == 0 ? s.stream[i / slots] : s.stream[segments + i % slots - 1];
  }

  /// Block i's memory in training.
  template <class T>
  [[gnu::always_inline]] static constexpr decltype(auto) slot(saved<T> const& s, int i) {
    if constexpr (has_kept) {
      auto mine = s.block[i % slots];
      Block::use_kept(mine, s.kept[i]);
      return mine;
    } else {
      return (s.block[i % slots]);
    }
  }

  /// Training: runs all blocks; `out` takes the stream after the last one. `acquire(i)` lends block i's
  /// weights until the end of the call that they are passed to.
  template <class X, class T, class Acquire>
  [[gnu::always_inline]] static constexpr void forward_train(X& x, micro_batch const& b, saved<T> const& s,
                                                             rows<float, width> const& out, Acquire acquire) {
    for (int i = 0; i < Count; ++i)
      Block::template forward<mode::train>(x, b, acquire(i), slot(s, i), input(s, i),
                                           i + 1 < Count ? input(s, i + 1) : out);
  }

  /// Forward only: one block's memory serves all, the stream alternates between two buffers.
  template <mode M, class X, class T, int Inputs, int Slots, class Acquire>
  static constexpr void forward_only(X& x, micro_batch const& b, saved<T, Inputs, Slots> const& s, cache<T> const* kv,
                                     rows<float, width> const& out, Acquire acquire) {
    for (int i = 0; i < Count; ++i) {
      auto block = s.block[0];
      if constexpr (M == mode::decode) block.attention.inner.kv = (*kv)[i];
      Block::template forward<M>(x, b, acquire(i), block, s.stream[i % 2], i + 1 < Count ? s.stream[(i + 1) % 2] : out);
    }
  }

  /// Back through all blocks; `sink(i)` lends the places of block i's gradients, likewise.
  template <class X, class T, class Acquire, class Sink>
  [[gnu::always_inline]] static constexpr void backward(X& x, micro_batch const& b, saved<T> const& s,
                                                        typename Block::scratch const& t,
                                                        rows<float, width> const& d_stream, Acquire acquire,
                                                        Sink sink) {
    for (int segment = segments - 1; segment >= 0; --segment) {
      int const first = segment * slots, last = first + slots < Count ? first + slots : Count;
      if constexpr (Every != 0) {
        for (int i = first; i < last; ++i) {
          // The stream after the segment is known already; the last block's goes to where nobody reads it.
          auto const& out = i + 1 < last ? input(s, i + 1) : t.d_branch;
          Block::template forward<mode::recompute>(x, b, acquire(i), slot(s, i), input(s, i), out);
        }
      }
      for (int i = last - 1; i >= first; --i) {
        Block::backward_input(x, b, acquire(i), slot(s, i), t, input(s, i), d_stream);
        Block::backward_weight(x, b, sink(i), slot(s, i));
      }
    }
  }
};

}  // namespace tenon::nn
