#pragma once
// Programs on ranks, for tests: a place for their runs, the program as a child, and what it leaves behind.
#include <array>
#include <cstring>
#include <map>

#include "support/child.hpp"
#include "support/test.hpp"
#include "tenon/checkpoint/directory.hpp"
#include "tenon/core/sha256.hpp"

#ifndef TENON_ON_RANKS
#define TENON_ON_RANKS ""
#endif

namespace ranks_tests {

namespace fs = std::filesystem;
using namespace tenon;

/// A folder with a text of some documents and with runs.
struct place {
  fs::path root;
  std::vector<std::string> data;
  explicit place(int lines = 120) {
    std::string pattern = (fs::temp_directory_path() / "tenon-ranks-XXXXXX").string();
    root = ::mkdtemp(pattern.data());
    fs::create_directories(root / "text");
    data = {"--data", (root / "text").string()};
    for (int d = 0; d < 12; ++d) {
      std::ofstream out(root / "text" / ("part" + std::to_string(d) + ".txt"));
      for (int i = 0; i < lines; ++i)
        out << "line " << i * (d + 3) << " of document " << d << ": the sum of " << i << " and " << d << " is " << i + d
            << ".\n";
    }
  }
  ~place() { fs::remove_all(root); }
  fs::path checkpoint(std::string const& run, int step) const {
    return root / run / "checkpoints" / checkpoint::step_name(step);
  }
};

/// The program as a child: what it prints goes to RUN.log beside the run (or to `log`). `environment`: NAME=VALUE.
struct program : child {
  program(place const& p, std::string const& run, std::vector<std::string> const& options,
          std::vector<std::string> const& environment = {}, std::string const& log = "",
          std::vector<std::string> const& before = {}, std::string const& path = TENON_ON_RANKS)
      : child(
            [before, environment, path](int argc, char const* const* argv) {
              for (auto const& e : environment) ::putenv(const_cast<char*>(e.c_str()));
              std::vector<char const*> all;
              for (auto const& b : before) all.push_back(b.c_str());
              all.push_back(path.c_str());
              for (int i = 1; i < argc; ++i) all.push_back(argv[i]);
              all.push_back(nullptr);
              ::execvp(all[0], const_cast<char* const*>(all.data()));
              return 127;
            },
            arguments(p, run, options), p.root / ((log.empty() ? run : log) + ".log")) {}
  static std::vector<std::string> arguments(place const& p, std::string const& run, std::vector<std::string> const& options) {
    std::vector<std::string> all{"--run", (p.root / run).string(), "--threads", "1"};
    all.insert(all.end(), p.data.begin(), p.data.end()), all.insert(all.end(), options.begin(), options.end());
    return all;
  }
};

inline std::string bytes_of(fs::path const& p) {
  std::ifstream in(p, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}
/// SHA-256 of every tensor file of a checkpoint.
inline std::map<std::string, std::string> tensors(fs::path const& checkpoint) {
  std::map<std::string, std::string> all;
  for (auto const& f : fs::directory_iterator(checkpoint))
    if (f.path().extension() == ".safetensors") all[f.path().filename()] = sha256::hex_of(bytes_of(f.path()));
  REQUIRE(all.size() == 3);
  return all;
}
inline bool contains(std::string const& all, std::string const& part) { return all.find(part) != std::string::npos; }
inline bool logged(fs::path const& run, std::string const& part) { return contains(bytes_of(run / "log.jsonl"), part); }
/// The number behind `key` in the last record of `step`.
inline double number(fs::path const& run, int step, std::string const& key) {
  auto const log = bytes_of(run / "log.jsonl");
  auto const line = log.rfind("\"tenon\":{\"step\":" + std::to_string(step) + ",\"total");
  REQUIRE(line != log.npos);
  auto const at = log.find("\"" + key + "\":", line);
  return std::stod(log.substr(at + key.size() + 3));
}
/// The processes that the launcher `pid` has started, in the order of the ranks.
inline std::vector<pid_t> ranks_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  std::vector<pid_t> all;
  for (pid_t p; in >> p;) all.push_back(p);
  return all;
}
inline bool half_written(fs::path const& run) {
  for (auto const& entry : fs::directory_iterator(run / "checkpoints"))
    if (entry.path().filename().string().rfind(".tmp-", 0) == 0) return true;
  return false;
}
}  // namespace ranks_tests
