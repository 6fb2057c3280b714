#pragma once
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/app/command_line.hpp"
#include "tenon/app/plan_json.hpp"
#include "tenon/app/plan_text.hpp"
#include "tenon/app/recipe_file.hpp"
#include "tenon/app/recipe_source.hpp"
#include "tenon/app/threads.hpp"
#include "tenon/recipe/describe.hpp"

/// The program behind `./tenon plan`: the recipe's plan, without LibTorch.
namespace tenon::app {

/// What the plan is asked to suppose, besides the recipe.
struct supposed {
  int ranks = 0;    ///< --ranks N: so many replicas share a step; 0: the recipe's own
  double rate = 0;  ///< --rate GFLOPS: that the machine reaches, measured elsewhere; 0: the target's
};

/// A positive whole number given to an option.
inline int positive(std::string const& option, std::string const& text) {
  int n = 0;
  try {
    parse_text(text, n);
  } catch (error const& e) {
    throw error("--" + option + ": " + e.what());
  }
  if (n < 1) throw error("--" + option + " is " + text + "; give at least 1");
  return n;
}

/// Takes --ranks and --rate out of the arguments; what is left is the recipe's command line.
inline supposed take_supposed(std::vector<char const*>& arguments) {
  supposed s;
  std::vector<char const*> rest;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view const a = arguments[i];
    bool const ranks = i > 0 && (a == "--ranks" || a.substr(0, 8) == "--ranks=");
    bool const rate = i > 0 && (a == "--rate" || a.substr(0, 7) == "--rate=");
    if (!ranks && !rate) {
      rest.push_back(arguments[i]);
      continue;
    }
    auto const equals = a.find('=');
    if (equals == a.npos && i + 1 == arguments.size())
      throw error(std::string(a) + " needs a value: " + std::string(a) + "=VALUE");
    std::string const value(equals == a.npos ? std::string_view(arguments[++i]) : a.substr(equals + 1));
    if (ranks)
      s.ranks = positive("ranks", value);
    else
      s.rate = positive("rate", value);
  }
  arguments = rest;
  return s;
}

/// The recipe with another answer to the axis memory.
template <auto const& R, class Memory>
struct with_memory {
  static constexpr auto recipe = R.replace(Memory{});
};

/// Activations with and without recomputation, for the same numbers.
template <auto const& R>
std::string recomputation_text(plan_numbers const& n) {
  auto const line = [](char const* what, run_plan const& p) {
    std::string text = std::string("  with ") + what;
    text.resize(30, ' ');
    return text + observe::bytes_text(std::uint64_t(p.activation_bytes)) + " of activations, " +
           flops_text(double(p.step_flops)) + " a step" + (p.fits ? "" : ", does not fit") + "\n";
  };
  return line("memory::keep{}", make_plan<with_memory<R, memory::keep>::recipe>(n)) +
         line("memory::recompute{}", make_plan<with_memory<R, memory::recompute>::recipe>(n));
}

inline constexpr std::string_view plan_usage =
    "./tenon plan RECIPE.hpp [--symbol NAME] [--on TARGET] [options] [--FIELD=VALUE ...]\n"
    "  --on TARGET      plan for this machine instead of the recipe's: h200, h100, b200, a100_80, a100_40, v100, "
    "l40s,\n"
    "                   rtx_4090, native, or cpu:24 with its GiB\n"
    "  --ranks N        suppose that N replicas share each step\n"
    "  --rate GFLOPS    suppose this rate, measured elsewhere, instead of the target's\n"
    "  --threads N      threads of a CPU; default: one per core\n"
    "  --steps N, --recipe FILE, --json: as in ./tenon train --help\n";

/// main of a plan's program. Returns 0, or 2 where the command line or the recipe with it cannot be planned.
template <auto const& R>
int plan_main(int argc, char const* const* argv, recipe_source const&) {
  static_assert(legal<R>);
  try {
    std::vector<char const*> arguments(argv, argv + argc);
    auto const s = take_supposed(arguments);
    std::remove_cvref_t<decltype(R)> r = R;
    int const count = int(arguments.size());
    if (auto const file = recipe_file(count, arguments.data()); !file.empty()) read_recipe(file, r);
    arguments.push_back("--plan");
    auto const c = parse(count + 1, arguments.data(), r);
    if (c.help) return std::fputs(std::string(plan_usage).c_str(), stdout), 0;
    auto n = numbers_of(r, team_of(r, c.threads > 0 ? c.threads : default_threads()));
    if (s.ranks > 0) n.ranks = s.ranks;
    if (n.global % (n.micro * n.ranks) != 0)
      throw error("batch.global of " + std::to_string(n.global) + " samples is no multiple of batch.micro * ranks = " +
                  std::to_string(n.micro) + " * " + std::to_string(n.ranks) +
                  ", so the ranks' shares of a step would differ; choose another number of ranks");
    auto f = R.target.facts();
    if (s.rate > 0) f.fp32 = f.bf16 = f.fp16 = f.tf32 = s.rate;
    auto const p = make_plan<R>(n, f);
    auto const source = s.rate > 0 ? observe::grouped(std::int64_t(s.rate)) + " GFLOP/s as stated" : std::string();
    std::fputs(
        (c.json ? plan_json(r, p, n) : plan_text(r, p, n, needs_text(r, p, n, f, source) + recomputation_text<R>(n)))
            .c_str(),
        stdout);
    return 0;
  } catch (std::exception const& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 2;
  }
}

}  // namespace tenon::app
