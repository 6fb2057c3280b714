#pragma once
// Runs a Python oracle that lies beside the tests.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace tenon_test {

/// A fresh directory, removed with everything in it at the end of the test.
struct scratch {
  std::filesystem::path path;
  scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "tenon-data-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a temporary directory");
    path = name;
  }
  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  scratch(scratch const&) = delete;
  scratch& operator=(scratch const&) = delete;
  /// Writes a file below the directory and returns its path.
  std::string file(std::string const& name, std::string const& text) const {
    std::filesystem::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << text;
    return (path / name).string();
  }
};

inline std::string slurp(std::filesystem::path const& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Runs tests/data/SCRIPT with `arguments`; throws with a sentence if Python is not set up or the script fails.
inline void python(std::string const& script, std::string const& arguments) {
  char const* interpreter = std::getenv("TENON_TEST_PYTHON");
  if (interpreter == nullptr || *interpreter == 0) {
    throw std::runtime_error(
        "TENON_TEST_PYTHON is not set: run the tests with ./tenon test, which prepares the Python oracles");
  }
  auto const path = std::filesystem::path(__FILE__).parent_path() / script;
  std::string const command = "'" + std::string(interpreter) + "' '" + path.string() + "' " + arguments;
  if (std::system(command.c_str()) != 0) throw std::runtime_error("the Python oracle failed: " + command);
}

}  // namespace tenon_test
