#pragma once
#include <string>

#include "tenon/exec/plan.hpp"
#include "tenon/observe/format.hpp"
#include "tenon/observe/plot.hpp"
#include "tenon/recipe/describe.hpp"
#include "tenon/recipe/digests.hpp"
#include "tenon/recipe/json.hpp"

namespace tenon::app {

/// What `--plan` prints of the recipe's numbers: the table of fields, dtypes, steps and the schedule as a plot.
/// `total` is 0 where it depends on data that was not read yet.
template <class Recipe>
std::string recipe_text(Recipe const& r, steps total) {
  using precision = resolved_precision_t<Recipe>;
  std::string all = describe(r);
  auto const d = precision::plan;
  auto const dtype = [&](char const* what, tenon::dtype t) {
    return std::string(what) + " " + std::string(name_of(t)) + "  ";
  };
  all += "\ndtypes      " + dtype("weights", d.parameter) + dtype("compute", d.compute) + dtype("master", d.master) +
         dtype("moments", d.moment) + dtype("gradients", d.gradient) + dtype("reduction", d.reduce) +
         dtype("logits", d.logits) + "\n";
  if (total.count > 0) {
    all += "steps       " + observe::grouped(total.count) + " of " + observe::grouped(tokens_per_step(r.batch).count) +
           " tokens, " + observe::grouped(r.batch.accumulation()) + " micro-batches each\n\nlearning rate\n";
    all += observe::plot([&](std::int64_t s) { return r.schedule.at(steps{s}, total, tokens_per_step(r.batch)); },
                         total.count);
  } else {
    all += "steps       known once the data is read: the horizon is in epochs\n";
  }
  return all;
}

/// "13.8 GFLOP".
inline std::string flops_text(double flops) {
  std::string text = observe::short_number(flops);
  text.insert(text.find_last_of("0123456789") + 1, " ");
  return text + "FLOP";
}

/// What the run needs, a line and a bar per part.
inline std::string memory_text(run_plan const& p, double gflops) {
  using observe::bytes_text, observe::grouped;
  std::string all = "\nmemory\n";
  auto const line = [&](std::string what, std::int64_t bytes) {
    what.resize(14, ' ');
    std::string amount = bytes_text(std::uint64_t(bytes));
    amount.insert(0, amount.size() < 10 ? 10 - amount.size() : 0, ' ');
    all += "  " + what + amount + "  " +
           std::string(p.total() > 0 ? std::size_t(40.0 * double(bytes) / double(p.total()) + 0.5) : 0, '#') + "\n";
  };
  line("weights", p.master_bytes), line("gradients", p.gradient_bytes), line("moments", p.moment_bytes);
  if (p.copy_bytes > 0) line("compute copy", p.copy_bytes);
  line("activations", p.activation_bytes), line("total", p.total());
  all += "  of " + bytes_text(std::uint64_t(p.memory)) +
         " on the target: " + (p.fits ? "fits" : "does not fit; lower batch.micro or write memory::recompute{}") + "\n";
  all += "\nparameters  " + grouped(p.parameters) + "; one checkpoint " +
         bytes_text(std::uint64_t(p.checkpoint_bytes)) + "\n";
  all += "work        " + flops_text(double(p.step_flops)) + " a step";
  if (gflops > 0)
    all += ", at least " + observe::duration_text(double(p.step_flops) / (gflops * 1e9)) + " at the target's " +
           grouped(std::int64_t(gflops)) + " GFLOP/s";
  return all + "\n";
}

}  // namespace tenon::app
