#pragma once
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tenon/app/fit_text.hpp"

/// The program behind `./tenon fit`: looks for what fits, without LibTorch.
namespace tenon::app {

inline constexpr std::string_view fit_usage =
    "./tenon fit RECIPE.hpp|CONFIG_DIR [--symbol NAME] [--on TARGET] [options]\n"
    "  CONFIG_DIR       a Hugging Face model's directory with its config.json\n"
    "  --on TARGET      the machine: h200, h100, b200, a100_80, a100_40, v100, l40s, rtx_4090, native, or cpu:24 with\n"
    "                   its GiB; default: the recipe's\n"
    "  --ranks N[,N]    replicas that share a step; default: the recipe's\n"
    "  --global N       samples of a step; default: the recipe's\n"
    "  --sequence N     tokens of a sample; default: the recipe's\n"
    "  --moments FORMAT fp32 or bf16 only; default: both, where the optimizer has the choice\n"
    "  --rate GFLOPS    suppose this rate, measured elsewhere, for every precision instead of the target's\n"
    "  --threads N      threads of a CPU; default: one per core\n"
    "  --take K         write the K-th of the list as a recipe\n"
    "  --out FILE       where to; default: NAME_fit.hpp here\n";

/// What `./tenon fit` was asked.
struct fit_command {
  fit_question question;
  int threads = 0, rate = 0, take = 0;
  std::string out;
  bool whole = false;  ///< the recipe's header is put into the written one, rather than included
  bool help = false;
};

/// Reads the arguments. Throws tenon::error for what is not understood.
inline fit_command parse_fit(int argc, char const* const* argv) {
  fit_command c;
  arguments rest{argc, argv};
  std::vector<std::string> const names{"ranks", "global", "sequence", "rate", "threads",
                                       "take",  "out",    "whole",    "help", "moments"};
  while (!rest.done()) {
    std::string_view const a = rest.take();
    auto const equals = a.find('=');
    std::string const name(a.substr(0, 2) == "--" ? a.substr(2, (equals == a.npos ? a.size() : equals) - 2) : a);
    if (a.substr(0, 2) != "--" || std::find(names.begin(), names.end(), name) == names.end()) {
      auto const near = nearest(name, names);
      throw error("./tenon fit has no option " + std::string(a) +
                  (near.empty() ? "" : "; did you mean --" + near + "?") +
                  " A field of the recipe is changed in the recipe; --help lists the options");
    }
    if (name == "help" || name == "whole") {
      (name == "help" ? c.help : c.whole) = true;
      continue;
    }
    auto const value = rest.value(name, equals == a.npos ? "" : a.substr(equals + 1), equals != a.npos);
    if (name == "out") {
      c.out = value;
    } else if (name == "moments") {
      if (value != "fp32" && value != "bf16") throw error("--moments is '" + value + "'; write fp32 or bf16");
      c.question.moments = {value == "fp32" ? dtype::fp32 : dtype::bf16};
    } else if (name == "ranks") {
      for (std::size_t from = 0; from <= value.size();) {
        auto const comma = std::min(value.find(',', from), value.size());
        c.question.ranks.push_back(positive(name, value.substr(from, comma - from)));
        from = comma + 1;
      }
    } else {
      int const n = positive(name, value);
      if (name == "global") c.question.global = n;
      if (name == "sequence") c.question.sequence = n;
      if (name == "rate") c.rate = n;
      if (name == "threads") c.threads = n;
      if (name == "take") c.take = n;
    }
  }
  if (!c.out.empty() && c.take == 0) throw error("--out names the file that --take writes; give --take, too");
  return c;
}

/// The header that makes a candidate a recipe, which the compiler checks and plans again.
inline std::string taken_text(recipe_source const& from, std::string const& name, found const& all, candidate const& c,
                              fit_question const& q, std::string const& original) {
  auto const& code = all.choices[c.choice];
  std::string text = "#pragma once\n";
  text += original.empty() ? "#include <tenon/tenon.hpp>\n\n#include \"" + std::string(from.header) + "\"\n" : original;
  text += "\n/// Written by ./tenon fit: " + seconds_text(c.plan.seconds_per_step) + " a step at the least, " +
          observe::bytes_text(std::uint64_t(c.plan.total())) + " of " +
          observe::bytes_text(std::uint64_t(c.plan.memory)) + ".\n";
  text += "inline constexpr auto " + name + " = " + std::string(from.symbol);
  if (!from.on.empty()) text += "\n    .replace(tenon::target::" + std::string(from.on) + ")";
  text += "\n    .replace(tenon::" + code.precision + ")\n    .replace(tenon::" + code.memory + ")";
  auto const ranks = std::to_string(c.numbers.ranks);
  if (all.ranks_field.empty() && c.numbers.ranks > 1) text += "\n    .replace(tenon::parallel::ddp{.ranks = " + ranks + "})";
  text += "\n    .edit([](auto& r) {\n      r.batch.micro = tenon::samples{" + std::to_string(c.numbers.micro) + "};\n";
  if (code.moment != all.own_moment)
    text += "      r.optimizer.moment = tenon::dtype::" + std::string(name_of(code.moment)) + ";\n";
  if (!all.ranks_field.empty()) text += "      r." + std::string(all.ranks_field) + " = " + ranks + ";\n";
  if (q.global > 0) text += "      r.batch.global = tenon::samples{" + std::to_string(q.global) + "};\n";
  if (q.sequence > 0) text += "      r.batch.sequence = tenon::tokens{" + std::to_string(q.sequence) + "};\n";
  return text + "    });\nstatic_assert(tenon::legal<" + name + ">);\nstatic_assert(tenon::plan<" + name + ">.fits);\n";
}

/// Writes the K-th of what fits; never over a file that is there.
inline std::string write_taken(fit_command const& c, recipe_source const& from, found const& all) {
  if (std::size_t(c.take) > all.fitting.size())
    throw error("--take " + std::to_string(c.take) + ": only " + std::to_string(all.fitting.size()) +
                " candidates fit");
  auto const& chosen = all.fitting[std::size_t(c.take) - 1];
  auto const colon = from.symbol.rfind(':');
  auto const name = std::string(colon == from.symbol.npos ? from.symbol : from.symbol.substr(colon + 1)) + "_fit";
  std::string const path = c.out.empty() ? name + ".hpp" : c.out;
  if (std::filesystem::exists(path))
    throw error("'" + path + "' is there already; remove it, or name another with --out");
  std::string original;
  if (c.whole) {
    std::ifstream in{std::string(from.header)};
    for (std::string line; std::getline(in, line);)
      if (line != "#pragma once") original += line + "\n";
    if (original.empty()) throw error("cannot read '" + std::string(from.header) + "'");
  }
  std::ofstream out(path);
  out << taken_text(from, name, all, chosen, c.question, original);
  if (!out.flush()) throw error("could not write '" + path + "'; is the disk full, or the directory not yours?");
  return "\nwritten to  " + path + ": number " + std::to_string(c.take) + " as the recipe " + name + "\n";
}

/// main of a fit's program. Returns 0; 1 where nothing fits; 2 where the command line is not understood or nothing can
/// be written.
template <auto const& R>
int fit_main(int argc, char const* const* argv, recipe_source const& from) {
  try {
    auto c = parse_fit(argc, argv);
    if (c.help) return std::fputs(std::string(fit_usage).c_str(), stdout), 0;
    auto& q = c.question;
    q.facts = R.target.facts();
    if (c.rate > 0) q.facts.fp32 = q.facts.bf16 = q.facts.fp16 = c.rate;
    q.members = team_of(R, c.threads > 0 ? c.threads : default_threads());
    auto const start = std::chrono::steady_clock::now();
    auto const all = fit<R>(q);
    std::chrono::duration<double> const took = std::chrono::steady_clock::now() - start;
    std::fputs(fit_text(std::string(from.symbol), std::string(R.target.kind), all, q.facts, took.count()).c_str(),
               stdout);
    if (all.fitting.empty()) return 1;
    if (c.take > 0) std::fputs(write_taken(c, from, all).c_str(), stdout);
    return 0;
  } catch (std::exception const& e) {
    std::fflush(stdout);
    std::fprintf(stderr, "error: %s\n", e.what());
    return 2;
  }
}

}  // namespace tenon::app
