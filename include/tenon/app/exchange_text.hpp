#pragma once
#include <string>

#include "tenon/exec/plan.hpp"
#include "tenon/observe/format.hpp"
#include "tenon/parallel/buckets.hpp"
#include "tenon/parallel/exchange_plan.hpp"

namespace tenon::app {

/// The exchange of gradients that a recipe with these numbers needs.
template <auto const& R, class Recipe>
constexpr parallel::exchange_plan exchange_of(Recipe const& r, run_plan const& p) {
  using model = models::of_recipe<R>;
  auto const n = parallel::replicas_of(r.parallel);
  auto const f = r.target.facts();
  // Of the step's time the backward pass of one micro-batch, by its share of the operations.
  double const per_token = double(p.forward_flops_per_token + p.backward_flops_per_token);
  double const pass = per_token > 0 && p.micro_batches > 0
                          ? p.seconds_per_step / double(p.micro_batches) * double(p.backward_flops_per_token) / per_token
                          : 0;
  return parallel::plan_exchange(parallel::readiness<model>::places(), n,
                                 size_of(resolved_precision_t<Recipe>::plan.reduce), pass, f.link);
}

/// For --plan: how much of the exchange the backward pass may hide; nothing on one rank.
template <auto const& R, class Recipe>
std::string exchange_plan_text(Recipe const& r, run_plan const& p) {
  auto const e = exchange_of<R>(r, p);
  if (e.buckets == 0) return "";
  std::string const text = "overlap     " + std::to_string(e.buckets) + (e.buckets == 1 ? " bucket" : " buckets");
  if (e.seconds <= 0) return text + "; the target states no link, so their time is not known\n";
  return text + ": " + observe::fixed_point(1e3 * e.seconds, 2) + " ms at the target's link, about " +
         observe::fixed_point(100 * e.hidden(), 0) + " % of it behind the backward pass\n";
}

}  // namespace tenon::app
