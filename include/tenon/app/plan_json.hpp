#pragma once
#include <string>

#include "tenon/exec/plan.hpp"
#include "tenon/recipe/digests.hpp"
#include "tenon/recipe/json.hpp"

namespace tenon::app {

/// The same as plan_text for programs: recipe, digests, and the plan's numbers (bytes, operations, seconds).
template <class Recipe>
std::string plan_json(Recipe const& r, run_plan const& p, plan_numbers const& n) {
  auto const d = digests(r);
  nlohmann::ordered_json j{{"recipe", to_json(r)},
                           {"digests", {{"identity", d.identity}, {"layout", d.layout}, {"numbers", d.numbers}}}};
  j["plan"] = {{"parameters", p.parameters},
               {"ranks", n.ranks},
               {"master_bytes", p.master_bytes},
               {"gradient_bytes", p.gradient_bytes},
               {"moment_bytes", p.moment_bytes},
               {"copy_bytes", p.copy_bytes},
               {"activation_bytes", p.activation_bytes},
               {"saved_bytes", p.saved_bytes},
               {"logits_bytes", p.logits_bytes},
               {"scratch_bytes", p.scratch_bytes},
               {"workspace_bytes", p.workspace_bytes},
               {"total_bytes", p.total()},
               {"process_bytes", p.peak()},
               {"target_bytes", p.memory},
               {"fits", p.fits},
               {"step_flops", p.step_flops},
               {"forward_flops_per_token", p.forward_flops_per_token},
               {"backward_flops_per_token", p.backward_flops_per_token},
               {"reduced_bytes", p.reduced_bytes},
               {"tokens_per_step", p.tokens_per_step},
               {"steps", total_steps(r.horizon, r.batch).count},
               {"seconds_per_step_at_least", p.seconds_per_step},
               {"checkpoint_bytes", p.checkpoint_bytes}};
  return j.dump(2) + "\n";
}

}  // namespace tenon::app
