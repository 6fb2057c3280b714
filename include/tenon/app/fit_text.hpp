#pragma once
#include <string>

#include "tenon/app/fit.hpp"
#include "tenon/app/plan_program.hpp"
#include "tenon/observe/format.hpp"

namespace tenon::app {

inline std::string padded(std::string text, std::size_t width, bool left = false) {
  if (text.size() < width) text.insert(left ? text.size() : 0, width - text.size(), ' ');
  return text;
}

/// "bf16, recompute 2", and "bf16 moments" where these are not fp32, of a choice.
inline std::string name_of_choice(code_choice const& c) {
  return std::string(name_of(c.product)) + ", " + (c.every == 0 ? "keep" : "recompute " + std::to_string(c.every)) +
         (c.moment == dtype::fp32 ? "" : ", " + std::string(name_of(c.moment)) + " moments");
}

/// The best `count` of what fits, a line each.
inline std::string best_text(found const& all, std::size_t count) {
  std::string text = "      step at least   tokens/s  bytes of a rank  precision  moments  memory        micro  ranks\n";
  for (std::size_t i = 0; i < std::min(count, all.fitting.size()); ++i) {
    auto const& c = all.fitting[i];
    auto const& code = all.choices[c.choice];
    double const seconds = c.plan.seconds_per_step;
    text += padded(std::to_string(i + 1), 4) + padded(seconds_text(seconds), 15) +
            padded(seconds > 0 ? observe::grouped(std::int64_t(double(c.plan.tokens_per_step) / seconds)) : "?", 11) +
            padded(observe::bytes_text(std::uint64_t(c.plan.total())), 17) + "  " +
            padded(std::string(name_of(code.product)), 9, true) + "  " +
            padded(std::string(name_of(code.moment)), 7, true) + "  " +
            padded(code.every == 0 ? "keep" : "recompute " + std::to_string(code.every), 12, true) +
            padded(std::to_string(c.numbers.micro), 7) + padded(std::to_string(c.numbers.ranks), 7) + "\n";
  }
  return text;
}

/// Why a choice of code stands behind the best one; `c` is its own best.
inline std::string reason(found const& all, candidate const& c, target_facts const& f) {
  auto const& best = all.fitting.front();
  auto const &mine = all.choices[c.choice], &its = all.choices[best.choice];
  double const ratio = c.plan.seconds_per_step / best.plan.seconds_per_step;
  std::string text = ratio < 1.0005  ? "as fast"
                     : ratio < 1.995 ? "+" + observe::fixed_point(100 * (ratio - 1), 1) + " %"
                                     : observe::fixed_point(ratio, 1) + " times as long";
  std::string why;
  auto const add = [&](std::string const& clause) { why += (why.empty() ? ": " : "; ") + clause; };
  if (f.rate(mine.product) < f.rate(its.product))
    add(observe::grouped(std::int64_t(f.rate(mine.product))) + " rather than " +
        observe::grouped(std::int64_t(f.rate(its.product))) + " GFLOP/s");
  if (mine.every > 0 && its.every == 0) add("every block runs forward twice");
  if (c.numbers.micro < best.numbers.micro) {
    add("at most " + std::to_string(c.numbers.micro) + " at a time fit, not " + std::to_string(best.numbers.micro));
  }
  if (mine.scaled && !its.scaled) add("needs a loss scale");
  if (size_of(mine.moment) > size_of(its.moment)) add("its moments are " + std::string(name_of(mine.moment)));
  if (why.empty() && c.plan.total() > best.plan.total())
    add("takes " + observe::bytes_text(std::uint64_t(c.plan.total() - best.plan.total())) + " more");
  return text + why;
}

/// Of each choice of code but the best: how much longer a step takes at its best, and why; or how much too large it is.
/// Other moments than the best one's are shown beside the best one alone.
inline std::string losers_text(found const& all, target_facts const& f) {
  std::string text;
  auto const& best = all.choices[all.fitting.front().choice];
  for (auto const& small : all.smallest) {
    auto const& code = all.choices[small.choice];
    if (code.moment != best.moment && (code.product != best.product || code.every != best.every)) continue;
    auto const mine = std::find_if(all.fitting.begin(), all.fitting.end(),
                                   [&](candidate const& c) { return c.choice == small.choice; });
    if (mine == all.fitting.begin() && mine != all.fitting.end()) continue;
    text += "  " + padded(name_of_choice(code), best.moment == dtype::fp32 ? 20 : 34, true) +
            (mine != all.fitting.end() ? reason(all, *mine, f)
                                       : "does not fit: " + observe::bytes_text(std::uint64_t(small.plan.total())) +
                                             " with " + std::to_string(small.numbers.micro) + " sample" +
                                             (small.numbers.micro > 1 ? "s" : "") + " at a time") +
            "\n";
  }
  return text;
}

/// Everything that `./tenon fit` prints. `seconds`: what the search took.
inline std::string fit_text(std::string const& name, std::string const& target, found const& all, target_facts const& f,
                            double seconds) {
  using observe::grouped;
  std::string text = "fit         " + name + " on " + target + ": " + grouped(all.judged) + " candidates judged in " +
                     seconds_text(seconds) + ", " + grouped(std::int64_t(all.fitting.size())) + " fit\n";
  for (auto const& [rule, count] : all.refused) text += "refused     " + grouped(count) + " by " + rule + "\n";
  text += "memory      " + observe::bytes_text(std::uint64_t(f.memory.count)) +
          " on the target, a tenth of them left free\n";
  if (!all.fitting.empty()) {
    text += "\n" + best_text(all, 10);
    std::string const losers = losers_text(all, f);
    if (!losers.empty()) text += "\nwhy the others lose, each at its best\n" + losers;
    return text;
  }
  if (all.smallest.empty())
    return text + "\nno candidate is legal; ./tenon plan names the rule that the recipe breaks\n";
  auto const& least = *std::min_element(all.smallest.begin(), all.smallest.end(),
                                        [](auto const& a, auto const& b) { return a.plan.total() < b.plan.total(); });
  text += "\nnothing fits. The least is " + name_of_choice(all.choices[least.choice]) + " with " +
          std::to_string(least.numbers.micro) + " at a time:\n" + parts_text(least.plan);
  return text + "Choose a smaller model or a target with more memory\n";
}

}  // namespace tenon::app
