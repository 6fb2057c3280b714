#pragma once
#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "tenon/core/fixed.hpp"
#include "tenon/core/units.hpp"
#include "tenon/recipe/axes.hpp"

/// How the run is spread over processes. A *rank* is one process of the run with one device.
namespace tenon::parallel {

/// One process, one device.
struct single {
  using axis = tenon::axis::parallel;
  static constexpr std::string_view kind = "single";
  static constexpr std::string_view read_by = "train::loop";
  static constexpr int ranks = 1;
};

/// Data-parallel ranks: each holds the whole model and takes its part of every step's samples; gradients are added over
/// the ranks while the backward pass of the last micro-batch still runs. How many there are selects no code.
struct ddp {
  using axis = tenon::axis::parallel;
  static constexpr std::string_view kind = "ddp";
  static constexpr std::string_view read_by = "parallel::ranks";
  operational<int, digest::layout> ranks = 1;             ///< processes of the run; batch.micro times ranks divides batch.global
  operational<bytes, digest::layout> bucket = bytes{4 << 20};  ///< gradients that are reduced together, at least
  operational<seconds> patience = seconds{60};            ///< how long a rank may be late before the others leave
};

/// A dimension of parallel::mesh: whole copies of the model, as in ddp.
struct replicate {
  operational<int, digest::layout> ranks = 1;             ///< copies
  operational<bytes, digest::layout> bucket = bytes{4 << 20};  ///< gradients that are reduced together, at least
};

/// Dimensions of parallelism, outermost first: mesh{replicate{.ranks = 2}}. The general form of ddp; replicate is the one
/// dimension so far.
template <class Outer = replicate>
struct mesh {
  using axis = tenon::axis::parallel;
  static constexpr std::string_view kind = "mesh";
  static constexpr std::string_view read_by = "parallel::ranks";
  /// Whether a rank holds a part of the state: what its dimension says, in a static member of that name.
  static constexpr bool shards_state = [] {
    if constexpr (requires { Outer::shards_state; })
      return bool(Outer::shards_state);
    else
      return false;
  }();
  Outer outer{};                                ///< the dimension; its fields are parallel.outer.ranks and so on
  operational<seconds> patience = seconds{60};  ///< how long a rank may be late before the others leave
};
template <class Outer>
mesh(Outer) -> mesh<Outer>;

/// The numbers of a policy that replicates.
struct replicas {
  int ranks = 1;
  bytes bucket{0};
  seconds patience{0};
};
constexpr replicas replicas_of(single const&) { return {}; }
constexpr replicas replicas_of(ddp const& p) { return {p.ranks, p.bucket, p.patience}; }
template <class Outer>
requires requires(Outer const& o) {
  int{o.ranks};
  bytes{o.bucket};
}
constexpr replicas replicas_of(mesh<Outer> const& p) { return {p.outer.ranks, p.outer.bucket, p.patience}; }
/// A policy of one's own says it in a member `replicas()`.
template <class Policy>
requires requires(Policy const& p) {
  { p.replicas() } -> std::same_as<replicas>;
}
constexpr replicas replicas_of(Policy const& p) { return p.replicas(); }

/// Whether ranks hold parts of the training state rather than all of it: a static member of that name says so.
template <class Policy>
constexpr bool shards_state() {
  using p = std::remove_cvref_t<Policy>;
  if constexpr (requires { p::shards_state; })
    return p::shards_state;
  else
    return false;
}

/// Whether a policy makes several processes work on one run: the question that the step is compiled by.
template <class Policy>
inline constexpr bool has_ranks = !std::is_same_v<std::remove_cvref_t<Policy>, single>;

/// The field that says how many ranks there are, for `--ranks N`; empty for one process.
template <class Policy>
constexpr std::string_view ranks_field() {
  using p = std::remove_cvref_t<Policy>;
  return std::is_same_v<p, single> ? "" : std::is_same_v<p, ddp> ? "parallel.ranks" : "parallel.outer.ranks";
}

}  // namespace tenon::parallel

namespace tenon {

/// The recipe with parallel::ddp{.ranks = n} where it says parallel::single; any other recipe as it is. Where batch.micro
/// is too large for a rank's part of batch.global, it becomes the largest that divides it. What `./tenon train --ranks N`
/// builds: the layout is another, the identity and the numbers are the same.
template <class Recipe>
constexpr auto on_ranks(Recipe const& r, int n) {
  if constexpr (parallel::has_ranks<decltype(r.parallel)>) {
    return r;
  } else {
    return r.with(parallel::ddp{.ranks = n}).edit([n](auto& e) {
      std::int64_t const part = n > 0 ? e.batch.global.count / n : 0;
      if (part < 1) return;  // a rule will say it
      auto micro = e.batch.micro.count < part ? e.batch.micro.count : part;
      while (part % micro != 0) --micro;
      e.batch.micro = samples{micro};
    });
  }
}

}  // namespace tenon
