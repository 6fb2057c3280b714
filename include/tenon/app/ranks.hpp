#pragma once
#include <exception>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tenon/app/company.hpp"
#include "tenon/app/launch.hpp"
#include "tenon/data/prepare.hpp"
#include "tenon/observe/format.hpp"
#include "tenon/parallel/ranks.hpp"
#include "tenon/recipe/violations.hpp"
#include "tenon/train/share.hpp"

namespace tenon::app {

/// The ranks of a run: they meet, compare what they must have in common, prepare the data in turn, and agree on every
/// refusal. Rank 0 leads: it alone reads and writes the run's directory (but for the cache of the text) and speaks.
template <auto const& R>
class company_on_ranks {
 public:
  using recipe_type = std::remove_cvref_t<decltype(R)>;

  /// -1: this process is a rank, or the only one. Else it has started the ranks and waited for them; their exit code.
  static int start(recipe_type const& r, int argc, char const* const* argv) {
    auto const wanted = parallel::replicas_of(r.parallel);
    auto const p = parallel::place_of_environment();
    if (!p) return wanted.ranks == 1 ? -1 : launch(argc, argv, wanted.ranks, std::chrono::seconds(wanted.patience.count));
    require_rule<rules::ranks_started>(r, {.started = p->size, .launcher = p->launcher});
    if (p->rank != 0 && std::freopen("/dev/null", "w", stdout) == nullptr)
      throw error("rank " + std::to_string(p->rank) + " could not turn its output off: /dev/null cannot be opened");
    return -1;
  }
  explicit company_on_ranks(recipe_type const& r)
      : group_(parallel::place_of_environment().value_or(parallel::place{}),
               std::chrono::seconds(parallel::replicas_of(r.parallel).patience.count)) {}

  bool leads() const { return group_.leads(); }
  int size() const { return group_.size(); }
  int hosts() const {
    std::set<std::string> all;
    for (int r = 0; r < size(); ++r) all.insert(group_.host_of(r));
    return int(all.size());
  }
  /// The machine's cores, shared by its ranks; where the launcher has bound each rank to cores of its own, those.
  int threads(int asked) {
    auto const mine = cores();
    int sharing = 0;
    auto const all = group_.gather_text(mine, "the division of the cores");
    for (int r = 0; r < size(); ++r) {
      bool meets = false;
      for (std::size_t c = 0; c < mine.size() && c < all[std::size_t(r)].size(); ++c)
        meets = meets || (mine[c] == '1' && all[std::size_t(r)][c] == '1');
      sharing += meets && group_.host_of(r) == group_.host_of(group_.rank());
    }
    return asked > 0 ? asked : parallel::threads_of_rank(default_threads(), sharing);
  }
  bool any(bool mine) { return group_.any(mine); }

  /// f(), whose failure on one rank is the failure of all: each leaves with the sentence of the first and its exit code.
  template <class F>
  auto together(F f) {
    try {
      return f();
    } catch (parallel::departure const&) {
      throw;
    } catch (refused const& e) {
      leave(int(exit_code::refused), e.what());
    } catch (data::interrupted const&) {
      leave(int(exit_code::interrupted), "was stopped before the first step; nothing was lost");
    } catch (std::exception const& e) {
      leave(int(exit_code::failed), std::string(e.what()));
    }
  }
  /// f() on the leader, while the others wait. What it throws there, all throw here: a refusal is one on every rank, before any
  /// of them begins what comes next.
  template <class F>
  void led(F f) {
    parallel::verdict said;
    if (leads()) {
      parallel::group::busy const working(group_);
      try {
        f();
      } catch (refused const& e) {
        said = {int(exit_code::refused), e.what()};
      } catch (data::interrupted const& e) {
        said = {int(exit_code::interrupted), e.what()};
      } catch (std::exception const& e) {
        said = {int(exit_code::failed), e.what()};
      }
    }
    said = parallel::verdict_of(group_.broadcast_text(parallel::text_of(said), "what rank 0 does for all"));
    if (said.code == int(exit_code::refused)) throw refused(said.sentence);
    if (said.code == int(exit_code::interrupted)) throw data::interrupted(said.sentence);
    if (said.code != 0) throw error(said.sentence);
  }
  /// f() on the leader, then on the first rank of each other machine, then on the rest: what one has left on a disk, the
  /// next find there.
  template <class F>
  auto in_turn(F f) {
    std::optional<decltype(f())> result;
    int const mine = leads() ? 0 : group_.where().local_rank == 0 ? 1 : 2;
    for (int turn = 0; turn < 3; ++turn) {
      if (turn == mine) {
        parallel::group::busy const preparing(group_);
        result.emplace(f());
      }
      (void)group_.gather(turn, "the preparation of the text");
    }
    return std::move(*result);
  }
  /// Throws on all ranks, with the same sentence, where one has another `value` than rank 0.
  void compare(char const* what, std::string const& value) {
    auto const all = group_.gather_text(value, std::string("the comparison of ") + what);
    for (int r = 1; r < size(); ++r)
      if (all[std::size_t(r)] != all[0])
        throw error("rank " + std::to_string(r) + " on " + group_.host_of(r) + " has another " + what + " than rank 0 on " +
                    group_.host_of(0) + " (" + all[std::size_t(r)].substr(0, 60) + " there, " + all[0].substr(0, 60) +
                    " here); give all ranks the same program, options and text");
  }
  train::trainer<R> make_trainer(recipe_type const& r, int threads, steps total) { return {r, threads, total, group_}; }
  /// What the leader has loaded, for all. Whether it resumed.
  bool share(train::trainer<R>& t, bool resumed) {
    train::share_state(group_, t);
    group_.broadcast(&resumed, sizeof resumed, "the state");
    return resumed;
  }
  template <class Order>
  data::prefetcher<Order> batches(Order const& order, data::cursor at, std::int64_t global) const {
    auto const share = global / size();
    return {order, at, share, global, 2, share * group_.rank()};
  }
  /// One line about what the exchange cost.
  std::string exchange_text(train::trainer<R>& t) const {
    auto const& e = t.ranks().times();
    if (size() == 1 || e.steps == 0) return "";
    std::string const what = "exchange    " + observe::bytes_text(std::uint64_t(e.bytes)) + " of gradient a step in " +
                             std::to_string(e.buckets) + (e.buckets == 1 ? " bucket" : " buckets");
    if (train::on_a_device<train::trainer<R>>) return what + ", inside of the GPUs' steps\n";
    return what + ": " +
           observe::fixed_point(1e3 * e.in_flight / double(e.steps), 2) + " ms on the way, " +
           observe::fixed_point(1e3 * e.waited / double(e.steps), 2) + " ms of them waited for, so " +
           observe::fixed_point(100 * e.hidden(), 0) + " % hidden behind the backward pass\n";
  }
  /// The last meeting: nobody goes while another still saves.
  void part() { (void)group_.gather(0, "the end of the run"); }

  /// The end of a process whose group is broken, inside of a handler: its sentence, and out, since threads of the backend may
  /// wait for ever. `fail(exception, code)` says the sentence.
  template <class Fail>
  [[noreturn]] static void leave_ranks(Fail const& fail) {
    int code = int(exit_code::failed);
    try {
      throw;
    } catch (parallel::departure const& d) {
      code = d.code;
      std::string const why = d.what();
      if (code == int(exit_code::interrupted))
        std::fprintf(stderr, "\n%s\n", why.c_str());
      else if (!why.empty())
        fail(d, exit_code(code));
    } catch (std::exception const& e) {
      fail(e, exit_code::failed);
    }
    std::fflush(nullptr);
    ::_exit(code);
  }

 private:
  [[noreturn]] void leave(int code, std::string const& why) {
    std::string const name = size() == 1 ? "" : "rank " + std::to_string(group_.rank()) + " on " + group_.host_of(group_.rank()) + ": ";
    auto const said = group_.announce({code, name + why});
    if (leads() && size() > 1 && !group_.where().hosted) std::this_thread::sleep_for(std::chrono::seconds(2));
    // Where all ranks fail alike, one says it.
    bool const alike = said.sentence.size() > why.size() && said.sentence.ends_with(": " + why);
    if (alike && said.sentence != name + why) throw parallel::departure({said.code, ""});
    throw parallel::departure(said);
  }
  /// A character for each core: '1' for those that this process may run on.
  static std::string cores() {
    std::string all;
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) == 0)
      for (int c = 0; c < CPU_SETSIZE; ++c) all += CPU_ISSET(std::size_t(c), &set) ? '1' : '0';
    return all;
  }

  parallel::group group_;
};

template <auto const& R>
struct company<R, parallel::ddp> : company_on_ranks<R> {
  using company_on_ranks<R>::company_on_ranks;
};
template <auto const& R>
struct company<R, parallel::mesh<parallel::replicate>> : company_on_ranks<R> {
  using company_on_ranks<R>::company_on_ranks;
};

}  // namespace tenon::app
