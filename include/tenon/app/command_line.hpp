#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tenon/recipe/fields.hpp"
#include "tenon/recipe/violations.hpp"

namespace tenon {

/// A field and the text it was set to.
struct assignment {
  std::string path, value;
  friend bool operator==(assignment const&, assignment const&) = default;
};

/// What a run was asked to do, besides the recipe. Empty texts and 0 mean not given.
struct command_line {
  std::string run;                    ///< --run DIR: where everything is written; an existing run is resumed
  std::vector<std::string> data;      ///< --data PATH, once or more
  std::string recipe;                 ///< --recipe FILE: fields as JSON; run() reads it before the overrides
  std::string init;                   ///< --init DIR: take the first weights from there
  std::string rehearsed;              ///< --rehearsed DIR: the run of the rehearsal
  bool no_rehearsal = false;          ///< --no-rehearsal: begin a long run without one
  std::string prompt;                 ///< --prompt TEXT: how the sample text at the end begins
  int threads = 0;                    ///< --threads N
  bool plan = false;                  ///< --plan: print what would run, and stop
  bool help = false;                  ///< --help
  bool json = false;                  ///< --json: machine-readable output
  std::vector<assignment> overrides;  ///< --PATH=VALUE, already in the recipe; --steps N appears as horizon
  std::vector<assignment> changes;    ///< --change PATH=VALUE, already in the recipe, allowed to differ on resume; a
                                      ///< fixed field or a policy may be named with the value that is compiled in
};

namespace app {

struct option {
  std::string_view name, value, meaning;  ///< value is empty for a switch
};
inline constexpr option options[] = {
    {"run", "DIR", "directory of the run; an existing one is resumed"},
    {"data", "PATH", "text to train on: a directory, text files or JSONL; may be given more than once"},
    {"recipe", "FILE",
     "take the trajectory and operational fields from this JSON, such as the recipe.json of another run"},
    {"steps", "N", "length of the run in optimizer steps, instead of the recipe's horizon"},
    {"plan", "", "print what would run, and stop"},
    {"change", "PATH=VALUE", "override a field that the run in --run already has, and record the change"},
    {"init", "DIR", "take the first weights from this directory: a checkpoint, or a model that transformers saved"},
    {"rehearsed", "DIR", "the run of this recipe's rehearsal, which a run of more than an hour needs"},
    {"no-rehearsal", "", "begin such a run without a rehearsal"},
    {"prompt", "TEXT", "how the sample text at the end begins"},
    {"threads", "N", "threads of each rank; default: one per core, shared by the ranks of a machine"},
    {"ranks", "N", "number of ranks (processes); without torchrun, srun or mpirun, this program starts them here"},
    {"json", "", "machine-readable output"},
    {"help", "", "print this list"},
};

/// Walks over the arguments one option at a time.
struct arguments {
  int argc;
  char const* const* argv;
  int next = 1;

  bool done() const { return next >= argc; }
  std::string_view take() { return argv[next++]; }
  /// The value of the option just taken: behind its '=', or the next argument.
  std::string value(std::string_view name, std::string_view behind, bool has_behind) {
    if (has_behind) return std::string(behind);
    if (done() || std::string_view(argv[next]).substr(0, 2) == "--")
      throw error("--" + std::string(name) + " needs a value: --" + std::string(name) + "=VALUE");
    return std::string(take());
  }
};

template <class Recipe>
void assign(Recipe& r, std::vector<assignment>& into, std::string_view option, std::string path, std::string value) {
  for (auto const& a : into)
    if (a.path == path)
      throw error(std::string(option) + " sets " + path + ", which was set to " + a.value + " before; give it once");
  set_field(r, path, value);
  into.push_back({std::move(path), std::move(value)});
}

/// --change of something compiled in: it changes nothing here, but says that the difference to the run is meant.
template <class Recipe>
bool names_compiled_value(Recipe const& r, std::string_view path, std::string_view value) {
  for (auto const& f : list_fields(r))
    if (f.path == path && f.classification == field_class::fixed) return f.value == value;
  return false;
}

template <class Recipe>
[[noreturn]] void unknown_option(Recipe const& r, std::string_view name) {
  std::vector<std::string> all;
  for (auto const& f : list_fields(r)) all.push_back(f.path);
  for (auto const& o : options) all.emplace_back(o.name);
  auto const near = nearest(name, all);
  throw error("unknown option --" + std::string(name) +
              (near.empty() ? "; --help lists the options" : "; did you mean --" + near + "?"));
}

}  // namespace app

/// Reads the arguments of a program: options of the run, and --PATH=VALUE (or --PATH VALUE) for each trajectory and
/// operational field of the recipe, which is changed in place (--seed is short for --seed.value). Afterwards the rules
/// are asked again. Throws tenon::error, with the recipe left as it was, for an unknown option (with the nearest one),
/// a fixed field, a value that does not fit, an option given twice, an argument that belongs to no option, and a recipe
/// that the overrides made illegal.
template <class Recipe>
command_line parse(int argc, char const* const* argv, Recipe& recipe_value) {
  command_line c;
  Recipe r = recipe_value;
  std::vector<std::string> seen;
  app::arguments rest{argc, argv};
  while (!rest.done()) {
    std::string_view const argument = rest.take();
    if (argument == "-h") {
      c.help = true;
      continue;
    }
    if (argument.substr(0, 2) != "--" || argument.size() < 3)
      throw error("\"" + std::string(argument) + "\" belongs to no option; paths of text go behind --data");
    std::size_t const equals = argument.find('=');
    bool const has_value = equals != argument.npos;
    std::string_view const name = argument.substr(2, (has_value ? equals : argument.size()) - 2);
    std::string_view const behind = has_value ? argument.substr(equals + 1) : std::string_view{};

    app::option const* known = nullptr;
    for (auto const& o : app::options)
      if (o.name == name) known = &o;
    if (known == nullptr) {
      bool exists = false;
      for (auto const& f : list_fields(r)) exists = exists || f.path == name;
      if (!exists) app::unknown_option(r, name);
      auto value = rest.value(name, behind, has_value);
      app::assign(r, c.overrides, "--" + std::string(name), name == "seed" ? "seed.value" : std::string(name),
                  std::move(value));
      continue;
    }
    if (name != "data" && name != "change") {
      for (auto const& s : seen)
        if (s == name) throw error("--" + s + " was given twice; give it once");
      seen.emplace_back(name);
    }
    if (known->value.empty()) {
      if (has_value) throw error("--" + std::string(name) + " takes no value");
      (name == "plan" ? c.plan : name == "json" ? c.json : name == "no-rehearsal" ? c.no_rehearsal : c.help) = true;
      continue;
    }
    std::string value = rest.value(name, behind, has_value);
    if (value.empty()) throw error("--" + std::string(name) + " was given an empty value");
    if (name == "run") {
      c.run = value;
    } else if (name == "data") {
      c.data.push_back(value);
    } else if (name == "recipe") {
      c.recipe = value;
    } else if (name == "init") {
      c.init = value;
    } else if (name == "prompt") {
      c.prompt = value;
    } else if (name == "rehearsed") {
      c.rehearsed = value;
    } else if (name == "threads") {
      try {
        parse_text(value, c.threads);
      } catch (error const& e) {
        throw error(std::string("--threads: ") + e.what());
      }
      if (c.threads < 1) throw error("--threads is " + value + "; give at least 1, or leave it out for one per core");
    } else if (name == "ranks") {
      constexpr auto field = parallel::ranks_field<decltype(r.parallel)>();
      if constexpr (field.empty())
        throw error("--ranks " + value + ": this program's recipe says parallel::single, one process; write parallel::ddp{} "
                    "in the recipe, or let ./tenon train --ranks " + value + " build it so");
      else
        app::assign(r, c.overrides, "--ranks", std::string(field), value);
    } else if (name == "steps") {
      steps n;
      try {
        parse_text(value, n);
      } catch (error const& e) {
        throw error(std::string("--steps: ") + e.what());
      }
      app::assign(r, c.overrides, "--steps", "horizon", to_text(n));
    } else {  // change
      std::size_t const split = value.find('=');
      if (split == value.npos || split == 0)
        throw error("--change needs a field and a value: --change schedule.peak=1e-4, not \"" + value + "\"");
      auto path = value.substr(0, split), to = value.substr(split + 1);
      if (app::names_compiled_value(r, path, to))
        c.changes.push_back({std::move(path), std::move(to)});
      else
        app::assign(r, c.changes, "--change", std::move(path), std::move(to));
    }
  }
  if (c.json && !c.plan) throw error("--json is the form that --plan prints in; write --plan --json");
  if (!c.help) require_legal(r);
  recipe_value = r;
  return c;
}

/// What --help prints: the options, then each field that may be overridden with the value it has.
template <class Recipe>
std::string usage(Recipe const& r, std::string_view program) {
  std::string all = "usage: " + std::string(program) + " [options] [--FIELD=VALUE ...]\n\noptions\n";
  for (auto const& o : app::options) {
    std::string left = "  --" + std::string(o.name) + (o.value.empty() ? "" : " " + std::string(o.value));
    if (left.size() < 24) left.resize(24, ' ');
    all += left + " " + std::string(o.meaning) + "\n";
  }
  all += "\nfields of this recipe\n";
  for (auto const& f : list_fields(r)) {
    if (f.classification == field_class::fixed) continue;
    std::string left = "  --" + f.path + "=" + f.value;
    if (left.size() < 44) left.resize(44, ' ');
    all += left + " " + to_text(f.classification) + "\n";
  }
  return all;
}

}  // namespace tenon
