#pragma once
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "tenon/core/error.hpp"

/// Tests that need Python's torch and transformers: `./tenon test --live` runs them, `./tenon test` reports them as
/// skipped.
namespace live {

/// For `TEST("live: ..." * doctest::skip(live::off()))`.
inline bool off() {
  char const* const on = std::getenv("TENON_TEST_LIVE");
  return on == nullptr || *on == 0;
}

struct outcome {
  int code;
  std::string output;
};

/// Runs tests/live/SCRIPT with `arguments` (paths, quoted here); what it printed and its exit code.
template <class... Paths>
outcome python(std::string const& script, Paths const&... arguments) {
  char const* const interpreter = std::getenv("TENON_TEST_PYTHON");
  if (interpreter == nullptr || *interpreter == 0)
    throw tenon::error(
        "TENON_TEST_PYTHON is not set: run the live tests with ./tenon test --live, which prepares a Python with "
        "torch");
  std::string command =
      "'" + std::string(interpreter) + "' '" + (std::filesystem::path(__FILE__).parent_path() / script).string() + "'";
  ((command += " '" + std::string(arguments) + "'"), ...);
  std::FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) throw tenon::error("the system could not start " + command);
  outcome o{0, ""};
  char piece[4096];
  for (std::size_t n = 0; (n = std::fread(piece, 1, sizeof piece, pipe)) > 0;) o.output.append(piece, n);
  o.code = ::pclose(pipe);
  return o;
}

}  // namespace live
