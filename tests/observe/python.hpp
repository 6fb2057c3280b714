#pragma once
// The Python with the light oracles (numpy, safetensors, tensorboard): its path is in TENON_TEST_PYTHON.
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace tenon_test {

/// A fresh directory, removed at the end.
struct temporary_directory {
  std::filesystem::path path;
  temporary_directory() {
    std::string name = (std::filesystem::temp_directory_path() / "tenon_test_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory at " + name);
    path = name;
  }
  temporary_directory(temporary_directory const&) = delete;
  temporary_directory& operator=(temporary_directory const&) = delete;
  ~temporary_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

inline std::string slurp(std::filesystem::path const& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw std::runtime_error("cannot open " + file.string());
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void spill(std::filesystem::path const& file, std::string const& bytes) {
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!stream) throw std::runtime_error("cannot write " + file.string());
}

/// Runs a script with one argument and returns what it printed. Throws if it fails or if there is no such Python.
inline std::string run_python(std::string const& script, std::filesystem::path const& argument) {
  char const* const python = std::getenv("TENON_TEST_PYTHON");
  if (python == nullptr || ::access(python, X_OK) != 0)
    throw std::runtime_error(
        "TENON_TEST_PYTHON does not name a Python; run the tests with ./tenon test, which installs one with numpy, "
        "safetensors, tokenizers and tensorboard");
  temporary_directory const folder;
  auto const file = folder.path / "script.py", errors = folder.path / "errors";
  spill(file, script);
  std::string const command =
      "'" + std::string(python) + "' '" + file.string() + "' '" + argument.string() + "' 2>'" + errors.string() + "'";
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot start " + std::string(python));
  std::string printed;
  char buffer[4096];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) printed.append(buffer, n);
  if (::pclose(pipe) != 0) throw std::runtime_error("the Python oracle failed:\n" + printed + slurp(errors));
  return printed;
}

}  // namespace tenon_test
