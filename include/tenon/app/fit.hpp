#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tenon/exec/plan.hpp"
#include "tenon/recipe/violations.hpp"

/// Which ways to run a recipe fit a machine, and which of them is the fastest. What selects code (precision,
/// recomputation) is a short list of types; what does not (micro-batch, ranks) is a number that one compiled plan
/// answers for.
namespace tenon::app {

/// One choice of what selects code, as a recipe says it.
struct code_choice {
  std::string precision, memory;  ///< as C++ writes them after tenon::
  tenon::dtype product = dtype::fp32, moment = dtype::fp32;
  int every = 0;        ///< blocks of a recomputed segment; 0: everything is kept
  bool scaled = false;  ///< needs a loss scale
};

/// A legal way to run the recipe.
struct candidate {
  std::size_t choice;  ///< index into found::choices
  plan_numbers numbers;
  run_plan plan;
};

/// What was found.
struct found {
  std::vector<code_choice> choices;
  std::vector<candidate> fitting;   ///< the fastest first
  std::vector<candidate> smallest;  ///< of each choice, the legal one with the fewest bytes, whether it fits or not
  std::map<std::string, std::int64_t, std::less<>> refused;  ///< candidates by the rule that refused them first
  std::int64_t judged = 0;
  std::string_view ranks_field;  ///< where the recipe says how many ranks there are; empty: it says parallel::single
  dtype own_moment = dtype::fp32;  ///< the recipe's own format of moments
};

/// What is asked for; 0 and empty mean as the recipe says.
struct fit_question {
  std::int64_t global = 0, sequence = 0;  ///< samples of a step, tokens of a sample
  std::vector<int> ranks;
  std::vector<dtype> moments;  ///< empty: all that the optimizer can have
  int members = 1;
  target_facts facts;
};

/// The recipe with other answers to precision and memory. A precision that is the recipe's own keeps its fields.
template <auto const& R, class Precision, int Every>
struct variant_of {
  static constexpr auto precision() {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(R.precision)>, Precision>)
      return R.precision;
    else
      return Precision{};
  }
  static constexpr auto memory() {
    if constexpr (Every == 0)
      return tenon::memory::keep{};
    else
      return tenon::memory::recompute{.every = Every};
  }
  static constexpr auto recipe = R.replace(precision()).replace(memory());
};

/// "precision::fp16{.emulated = true}", where that is what the recipe says.
template <class Precision>
std::string precision_text(Precision const& p) {
  std::string text = "precision::" + std::string(Precision::kind);
  if constexpr (requires { p.emulated; })
    if (p.emulated) return text + "{.emulated = true}";
  if constexpr (requires { p.tf32; })
    if (p.tf32) return text + "{.tf32 = true}";
  return text + "{}";
}

/// Gives a recipe so many ranks, where its policy has a field for them; for parallel::single the recipe would be another
/// one (tenon::on_ranks).
template <class Recipe>
void set_ranks(Recipe& r, int ranks) {
  if constexpr (requires { r.parallel.ranks = ranks; })
    r.parallel.ranks = ranks;
  else if constexpr (requires { r.parallel.outer.ranks = ranks; })
    r.parallel.outer.ranks = ranks;
}

/// Judges every micro-batch and number of ranks of one choice of code.
template <auto const& V>
void judge(found& all, fit_question const& q, dtype moment) {
  constexpr int every = models::recompute_every(V.memory);
  constexpr bool scaled = requires { V.precision.initial_scale; };
  std::size_t const choice = all.choices.size();
  all.choices.push_back({.precision = precision_text(V.precision),
                         .memory = every == 0 ? "memory::keep{}" : "memory::recompute{.every = " + std::to_string(every) + "}",
                         .product = dtypes_of(V).product(),
                         .moment = moment,
                         .every = every,
                         .scaled = scaled});
  auto r = V;
  if constexpr (requires { r.optimizer.moment = moment; }) r.optimizer.moment = moment;
  if (q.global > 0) r.batch.global = samples{q.global};
  if (q.sequence > 0) r.batch.sequence = tokens{q.sequence};
  candidate smallest{choice, {}, {}};
  for (std::int64_t micro = 1; micro <= r.batch.global.count; ++micro) {
    r.batch.micro = samples{micro};
    for (int const ranks : q.ranks) {
      set_ranks(r, ranks);
      auto const broken = violations(r);
      ++all.judged;
      if (!broken.empty()) {
        ++all.refused[std::string(broken.front().rule)];
        continue;
      }
      candidate c{choice, numbers_of(r, q.members), {}};
      c.numbers.ranks = ranks;
      if (c.numbers.global % (micro * ranks) != 0) {
        ++all.refused["ranks_divide_global"];
        continue;
      }
      c.plan = make_plan<V>(c.numbers, q.facts, moment);
      if (smallest.plan.parameters == 0 || c.plan.total() < smallest.plan.total()) smallest = c;
      if (c.plan.fits)
        all.fitting.push_back(c);
      else
        ++all.refused["plan_fits"];
    }
  }
  if (smallest.plan.parameters > 0) all.smallest.push_back(smallest);
}

/// The formats of moments that a recipe's optimizer can name: those of `asked`, or all.
template <class Optimizer>
std::vector<dtype> moments_to_try(Optimizer const& o, dtype_plan const& plan, std::vector<dtype> const& asked) {
  if constexpr (requires { o.moment; })
    return asked.empty() ? std::vector{dtype::bf16, dtype::fp32} : asked;
  else
    return {plan.moment};
}

/// Judges every choice of precision (fp32, bf16, fp16), recomputation (none; segments of 1, 2 and 4 blocks) and moments
/// (bf16, fp32) of a recipe, with every micro-batch up to the whole step. The fastest comes first; of equally fast ones, that without a
/// loss scale, then that with fewer bytes.
template <auto const& R>
found fit(fit_question q) {
  if (q.ranks.empty()) q.ranks = {numbers_of(R).ranks};
  found all;
  all.ranks_field = parallel::ranks_field<decltype(R.parallel)>();
  all.own_moment = dtypes_of(R).moment;
  auto const with_precision = [&]<class P>(P) {
    for (dtype const moment : moments_to_try(R.optimizer, dtypes_of(R), q.moments)) {
      judge<variant_of<R, P, 0>::recipe>(all, q, moment);
      judge<variant_of<R, P, 1>::recipe>(all, q, moment);
      judge<variant_of<R, P, 2>::recipe>(all, q, moment);
      judge<variant_of<R, P, 4>::recipe>(all, q, moment);
    }
  };
  with_precision(precision::bf16{}), with_precision(precision::fp16{}), with_precision(precision::fp32{});
  double shortest = 0;
  for (auto const& c : all.fitting)
    if (shortest == 0 || c.plan.seconds_per_step < shortest) shortest = c.plan.seconds_per_step;
  auto const parts = [&](candidate const& c) {  // of a million: sums in another order differ in their last bits
    return shortest > 0 ? std::llround(c.plan.seconds_per_step / shortest * 1e6) : 0;
  };
  std::stable_sort(all.fitting.begin(), all.fitting.end(), [&](candidate const& a, candidate const& b) {
    if (parts(a) != parts(b)) return parts(a) < parts(b);
    if (all.choices[a.choice].scaled != all.choices[b.choice].scaled) return all.choices[b.choice].scaled;
    return a.plan.total() < b.plan.total();
  });
  return all;
}

}  // namespace tenon::app
