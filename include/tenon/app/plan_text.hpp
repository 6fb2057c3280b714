#pragma once
#include <string>
#include <string_view>

#include "tenon/exec/plan.hpp"
#include "tenon/observe/format.hpp"
#include "tenon/observe/plot.hpp"
#include "tenon/recipe/describe.hpp"
#include "tenon/recipe/digests.hpp"

namespace tenon::app {

/// The name of the variable that a recipe lives in, such as "pro".
template <auto const& R>
constexpr std::string_view name_of_recipe() {
  std::string_view const text = __PRETTY_FUNCTION__;
  auto const from = text.find("R = ") + 4;
  auto name = text.substr(from, text.find_first_of(";]", from) - from);
  if (auto const colon = name.rfind(':'); colon != name.npos) name = name.substr(colon + 1);
  return name;
}

/// What `--plan` prints of the recipe's numbers: the table of fields, dtypes, steps and the schedule as a plot.
/// `total` is 0 where it depends on data that was not read yet.
template <class Recipe>
std::string recipe_text(Recipe const& r, steps total) {
  std::string all = describe(r);
  auto const d = dtypes_of(r);
  auto const dtype = [&](char const* what, tenon::dtype t) {
    return std::string(what) + " " + std::string(name_of(t)) + "  ";
  };
  all += "\ndtypes      " + dtype("weights", d.parameter) + dtype("compute", d.compute) + dtype("master", d.master) +
         dtype("moments", d.moment) + dtype("gradients", d.gradient) + dtype("reduction", d.reduce) +
         dtype("logits", d.logits) + (r.target.facts().device == device_kind::cuda ? "products " + std::string(name_of(d.product())) : "") + "\n";
  if (!decltype(Recipe::data)::resumes_exactly)
    all += "resume      not exact: the source is read in sequence, and goes on with what comes next\n";
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

/// A memory table: a line and a bar for each part, then the sum.
inline std::string parts_text(run_plan const& p) {
  using observe::bytes_text;
  std::string all;
  auto const line = [&](std::string what, std::int64_t bytes) {
    if (bytes == 0) return;
    what.resize(14, ' ');
    std::string amount = bytes_text(std::uint64_t(bytes));
    amount.insert(0, amount.size() < 10 ? 10 - amount.size() : 0, ' ');
    all += "  " + what + amount + "  " +
           std::string(p.total() > 0 ? std::size_t(40.0 * double(bytes) / double(p.total()) + 0.5) : 0, '#') + "\n";
  };
  line("weights", p.master_bytes), line("gradients", p.gradient_bytes), line("moments", p.moment_bytes);
  line("compute copy", p.copy_bytes), line("frozen", p.frozen_bytes), line("adapters", p.adapter_bytes);
  line("activations", p.saved_bytes), line("logits", p.logits_bytes);
  line("scratch", p.scratch_bytes), line("workspace", p.workspace_bytes), line("total", p.total());
  return all;
}

/// "0.372 ms", "66.7 s": fine enough to tell neighbours apart.
inline std::string seconds_text(double s) {
  if (s < 1e-3) return observe::fixed_point(s * 1e6, s < 1e-5 ? 2 : s < 1e-4 ? 1 : 0) + " us";
  if (s < 1) return observe::fixed_point(s * 1e3, s < 0.01 ? 2 : s < 0.1 ? 1 : 0) + " ms";
  return observe::fixed_point(s, s < 100 ? 2 : s < 1000 ? 1 : 0) + " s";
}

/// How many members a rank's team has: threads on a CPU; a GPU has one host thread.
template <class Recipe>
int team_of(Recipe const& r, int threads) {
  return r.target.facts().device == device_kind::cpu ? threads : 1;
}

/// Where the rates come from that a time is computed with, such as "989,000 GFLOP/s and 4,800 GB/s as published".
template <class Target>
std::string rates_text(Target const&, target_facts const& f, dtype product) {
  std::string text = observe::grouped(std::int64_t(f.rate(product))) + " GFLOP/s";
  if (f.bandwidth > 0) text += " and " + observe::grouped(std::int64_t(f.bandwidth)) + " GB/s";
  if constexpr (std::is_same_v<Target, target::native>)
    return text + (TENON_NATIVE_MEASURED ? " as measured on this machine" : ", assumed until ./tenon doctor measures");
  else
    return text + (f.device == device_kind::cuda ? " as published" : ", assumed");
}

/// What to do about a plan that does not fit.
inline std::string remedy(run_plan const& p) {
  auto const state = p.total() - p.activation_bytes;
  if (fits_into(state, p.memory)) return "does not fit; lower batch.micro or write memory::recompute{}";
  return "does not fit: weights, gradients and moments alone take " + observe::bytes_text(std::uint64_t(state)) +
         "; choose a smaller model or a target with more memory";
}

/// What the run needs and what it does: memory by part, parameters, work, time. `f`: the target's facts, or others that
/// the time was computed with, and then `source` says where they are from.
template <class Recipe>
std::string needs_text(Recipe const& r, run_plan const& p, plan_numbers const& n, target_facts const& f,
                       std::string source = {}) {
  using observe::bytes_text, observe::grouped;
  std::string all = "\nmemory" + (n.ranks > 1 ? " of each of " + grouped(n.ranks) + " ranks" : std::string()) + "\n";
  all += parts_text(p) + "  of " + bytes_text(std::uint64_t(p.memory)) +
         " on the target, a tenth of them left free: " + (p.fits ? "fits" : remedy(p)) + "\n";
  all += "\nparameters  " + grouped(p.parameters) +
         (p.frozen_parameters > 0 ? " trained, " + grouped(p.frozen_parameters) + " frozen" : std::string()) + "; one checkpoint " +
         bytes_text(std::uint64_t(p.checkpoint_bytes)) + "\n";
  all += "work        " + flops_text(double(p.forward_flops_per_token)) + " forward and " +
         flops_text(double(p.backward_flops_per_token)) + " backward a token; " + flops_text(double(p.step_flops)) +
         " a step" + (n.ranks > 1 ? " and rank" : "") + "\n";
  if (p.program_bytes > 0)
    all += "process     about " + bytes_text(std::uint64_t(p.peak())) +
           " at its peak, with the program and its libraries\n";
  if (p.reduced_bytes > 0) all += "exchange    " + bytes_text(std::uint64_t(p.reduced_bytes)) + " a step and rank\n";
  if (p.seconds_per_step > 0) {
    if (source.empty()) source = rates_text(r.target, f, dtypes_of(r).product());
    all += "time        at least " + seconds_text(p.seconds_per_step) + " a step, " +
           grouped(std::int64_t(double(p.tokens_per_step) / p.seconds_per_step)) + " tokens/s";
    if (p.steps > 0)
      all +=
          ", " + observe::duration_text(double(p.steps) * p.seconds_per_step) + " for " + grouped(p.steps) + " steps";
    all += ",\n            with " + source + "\n";
  }
  return all;
}

/// Everything that `--plan` prints: fields, dtypes, schedule, memory, work and time, digests. A plan without parameters
/// stands for a model whose needs are found out by running it.
template <class Recipe>
std::string plan_text(Recipe const& r, run_plan const& p, plan_numbers const& n, std::string const& needs = {}) {
  std::string text = recipe_text(r, total_steps(r.horizon, r.batch));
  text += !needs.empty()     ? needs
          : p.parameters > 0 ? needs_text(r, p, n, r.target.facts())
                             : "\nmemory      not known before the start: the model runs under autograd\n";
  auto const d = digests(r);
  return text + "digests     identity " + d.identity.substr(0, 12) + "  layout " + d.layout.substr(0, 12) +
         "  numbers " + d.numbers.substr(0, 12) + "\n";
}

}  // namespace tenon::app
