#pragma once
#include <cstdio>
#include <string>
#include <utility>

#include "tenon/app/machine.hpp"
#include "tenon/data/prefetcher.hpp"
#include "tenon/parallel/door.hpp"
#include "tenon/parallel/place.hpp"
#include "tenon/recipe/violations.hpp"
#include "tenon/train/trainer.hpp"

namespace tenon::app {

/// The other ranks of a run, as the program sees them. This one has none: everything is done here, nothing is asked.
/// <tenon/parallel.hpp> has the one of parallel::ddp (app/ranks.hpp), with the same functions.
template <auto const& R, class Policy = std::remove_cvref_t<decltype(R.parallel)>>
struct company {
  using recipe_type = std::remove_cvref_t<decltype(R)>;
  static_assert(!parallel::has_ranks<Policy>,
                "[tenon.parallel_included] the recipe spreads over ranks, and the code that does it was not included. "
                "Write #include <tenon/parallel.hpp>, or let tenon_add_trainer(... RANKS) or ./tenon train --ranks N do it");

  /// Whether this process is to go on by itself; else the exit code of the ranks that it has started and waited for.
  static int start(recipe_type const& r, int, char const* const*) {
    if (auto const p = parallel::place_of_environment())
      require_rule<rules::ranks_started>(r, {.started = p->size, .launcher = p->launcher});
    return -1;
  }
  explicit company(recipe_type const&) {}

  bool leads() const { return true; }
  int size() const { return 1; }
  int hosts() const { return 1; }
  int threads(int asked) const { return asked > 0 ? asked : default_threads(); }
  bool any(bool mine) const { return mine; }
  template <class F>
  auto together(F f) const {
    return f();
  }
  template <class F>
  void led(F f) const {
    f();
  }
  template <class F>
  auto in_turn(F f) const {
    return f();
  }
  void compare(char const*, std::string const&) const {}
  train::trainer<R> make_trainer(recipe_type const& r, int threads, steps total) const { return {r, threads, total}; }
  bool share(train::trainer<R>&, bool resumed) const { return resumed; }
  template <class Order>
  data::prefetcher<Order> batches(Order const& order, data::cursor at, std::int64_t global) const {
    return {order, at, global};
  }
  std::string exchange_text(train::trainer<R>&) const { return ""; }
  void part() const {}
};

/// On several ranks: while this lives the others wait for this one as long as it takes.
template <class Trainer>
auto busy_with(Trainer& t) {
  struct nothing {
    ~nothing() {}
  };
  if constexpr (Trainer::on_ranks)
    return typename std::remove_cvref_t<decltype(t.ranks().company())>::busy(t.ranks().company());
  else
    return nothing{};
}

}  // namespace tenon::app
