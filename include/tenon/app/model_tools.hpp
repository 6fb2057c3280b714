#pragma once
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/app/interrupt.hpp"
#include "tenon/app/tool_arguments.hpp"
#include "tenon/deploy/export_adapters.hpp"
#include "tenon/deploy/export_run.hpp"
#include "tenon/deploy/import_recipe.hpp"
#include "tenon/deploy/model_source.hpp"
#include "tenon/observe/format.hpp"

/// The program behind `./tenon import` and `./tenon export`. It includes no torch header.
namespace tenon::app {

inline constexpr char const* model_tools_usage =
    "import DIR --out NAME.hpp [--force]            the recipe of the model in DIR/config.json\n"
    "export RUN --out DIR [--step N] [--dtype fp32|bf16|fp16] [--shard-size 5GB]\n"
    "                                               a run's checkpoint as a directory that transformers loads\n"
    "           [--merge] [--base DIR]              of a run with trainable::lora: the whole model instead of the adapters in\n"
    "                                               PEFT's form; where the model of --init is now\n";

/// "5GB", "500MB", "20KB" or a count of bytes; decimal units, as transformers counts them.
inline std::uint64_t parse_bytes(std::string const& written) {
  auto const a = text::read_amount(written, "a number of bytes such as 5GB or 500MB");
  double const unit = a.unit == "GB" ? 1e9 : a.unit == "MB" ? 1e6 : a.unit == "KB" ? 1e3 : a.unit.empty() ? 1 : 0;
  if (unit == 0 || a.number * unit < 1 || a.number * unit > 1e18)
    text::refuse(written, "a number of bytes such as 5GB or 500MB");
  return std::uint64_t(a.number * unit);
}

inline void import_model(tool_arguments const& a) {
  namespace fs = std::filesystem;
  fs::path const directory = a.path, out = a.required("out");
  if (fs::exists(out) && a.values.count("force") == 0)
    throw error("'" + out.string() + "' exists already; name another file, or overwrite it with --force");
  auto const config = directory / "config.json";
  std::string header;
  auto const name = out.stem().string();
  deploy::with_config(deploy::read_json_object(config), config.string(), [&](auto const& found) {
    auto const model = deploy::with_modules(found.model, directory, found.weights);
    header = deploy::recipe_header(model, name, directory.string());
    std::printf("model       %s, %s parameters\n", std::string(model.kind).c_str(),
                observe::grouped(model.parameters()).c_str());
  });
  std::ofstream file(out, std::ios::binary);
  file << header;
  if (!file.flush()) throw error("could not write '" + out.string() + "'; check its directory and the free space");
  std::printf("written to  %s\ntrain it    ./tenon train %s --init %s --data YOUR_TEXT --run RUN\n", out.c_str(),
              out.c_str(), directory.c_str());
}

inline void export_model(tool_arguments const& a) {
  deploy::export_options o{.run = a.path, .out = a.required("out")};
  if (auto const step = a.get("step", ""); !step.empty()) {
    steps n;
    parse_text(step, n);
    o.step = n.count;
  }
  auto const dtype = a.get("dtype", "fp32");
  if (dtype != "fp32" && dtype != "bf16" && dtype != "fp16")
    throw error("--dtype is '" + dtype + "'; write fp32, bf16 or fp16");
  o.type = dtype == "fp32"   ? checkpoint::dtype::F32
           : dtype == "bf16" ? checkpoint::dtype::BF16
                             : checkpoint::dtype::F16;
  if (auto const size = a.get("shard-size", ""); !size.empty()) o.shard_bytes = parse_bytes(size);
  if (auto const base = a.get("base", ""); !base.empty()) o.base = base;
  bool const merge = a.values.count("merge") != 0;
  bool const adapters = deploy::adapter_scale_of(deploy::checkpoint_of(o.run, o.step).contents).has_value();
  if (merge && !adapters)
    throw error("'" + o.run.string() + "' has no adapters to merge; leave --merge out");
  auto const done = adapters && !merge ? deploy::export_adapters(o) : deploy::export_run(o);
  std::string files;
  for (auto const& f : done.files) files += (files.empty() ? "" : ", ") + f;
  std::printf("exported    step %lld, %s parameters in %s\nwritten to  %s: %s\n", static_cast<long long>(done.step),
              observe::grouped(done.parameters).c_str(), dtype.c_str(), o.out.c_str(), files.c_str());
}

/// Writes the recipe that a program which generates from `a.path` is compiled with into the folder --into, named by its
/// content, and prints the file's path. Models of one shape share a program.
inline void program_of(tool_arguments const& a) {
  namespace fs = std::filesystem;
  auto const source = deploy::find_model(a.path);
  std::string precision = a.get("precision", "");
  if (precision.empty() && source.manifest) {
    auto const found = source.manifest->dtypes.find("compute");
    if (found != source.manifest->dtypes.end()) precision = found->second;
  }
  if (precision.empty()) precision = "fp32";
  if (precision != "fp32" && precision != "bf16" && precision != "fp16")
    throw error("--precision is '" + precision + "'; write fp32, bf16 or fp16");
  auto const policy = deploy::with_source_model(source, [](auto const& m) { return deploy::policy_text(m); });
  auto const name = "generate_" + sha256::hex_of(policy + precision).substr(0, 16);
  fs::path const folder = a.required("into"), file = folder / (name + ".hpp");
  if (!fs::exists(file)) {
    fs::create_directories(folder);
    auto const part = file.string() + ".part";
    std::ofstream out(part, std::ios::binary);
    out << "#pragma once\n#include <tenon/recipe.hpp>\n\nnamespace tn = tenon;\n\ninline constexpr auto " << name
        << " = tn::recipe(\n    " << policy << ",\n    tn::precision::" << precision << "{});\n";
    if (!out.flush()) throw error("could not write '" + part + "'; check the free space");
    fs::rename(part, file);
  }
  std::printf("%s\n", file.c_str());
}

/// `argv[1]` is the verb. Returns an app::exit_code; a failure is one sentence on standard error.
inline int model_tools(int argc, char const* const* argv) {
  std::string_view const verb = argc > 1 ? argv[1] : "";
  try {
    auto const name = std::string(verb);
    auto const named = [&](tool_arguments a) {
      if (a.path.empty()) throw error("'" + name + "' needs a directory:\n" + model_tools_usage);
      return a;
    };
    if (verb == "import") {
      import_model(named({argc, argv, name, 2, {"out"}, {"force"}}));
    } else if (verb == "export") {
      export_model(named({argc, argv, name, 2, {"out", "step", "dtype", "shard-size", "base"}, {"merge"}}));
    } else if (verb == "program") {  // for ./tenon generate
      program_of(named({argc, argv, name, 2, {"into", "precision"}, {}}));
    } else {
      throw error("there is no verb '" + std::string(verb) + "':\n" + model_tools_usage);
    }
    return static_cast<int>(exit_code::done);
  } catch (std::exception const& e) {
    std::fflush(stdout);
    std::fprintf(stderr, "error: %s\n", e.what());
    return static_cast<int>(exit_code::failed);
  }
}

}  // namespace tenon::app
