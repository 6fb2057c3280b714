#pragma once
#include <map>
#include <nlohmann/json.hpp>

#include "support/chat_data.hpp"
#include "support/child.hpp"
#include "support/test.hpp"
#include "tenon/tenon.hpp"

/// A whole program on a small corpus: what the tests of the room app share.
namespace app_test {

using namespace tenon;
using namespace tenon::literals;
namespace fs = std::filesystem;

inline constexpr auto tiny = recipe(
    model::deepseek_llm{
        .vocab = 320, .hidden = 32, .layers = 2, .heads = 4, .kv_heads = 2, .intermediate = 48, .positions = 64},
    precision::fp32{}, horizon{24_steps}, batch{.sequence = 32_tokens, .global = 8_samples, .micro = 4_samples},
    schedule::warmup_cosine{.peak = 3e-3, .warmup = 4_steps}, checkpoint::every{.period = period{5_steps}, .keep = 3},
    observe::standard{.evaluate_every = 8_steps});

/// A folder of its own for each test, with a corpus of a few documents.
struct place {
  fs::path root;
  place() {
    std::string pattern = (fs::temp_directory_path() / "tenon-app-XXXXXX").string();
    root = ::mkdtemp(pattern.data());
    fs::create_directories(root / "text");
    for (int d = 0; d < 12; ++d) {
      std::ofstream out(root / "text" / ("part" + std::to_string(d) + ".txt"));
      for (int i = 0; i < 120; ++i)
        out << "line " << i * (d + 3) << " of document " << d << ": the sum of " << i << " and " << d << " is " << i + d
            << ".\n";
    }
  }
  ~place() { fs::remove_all(root); }
  std::vector<std::string> arguments(std::string const& run, std::vector<std::string> more = {}) const {
    std::vector<std::string> all{"--run", (root / run).string(), "--data", (root / "text").string(), "--threads", "2"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  fs::path log(std::string const& name) const { return root / (name + ".log"); }
  fs::path checkpoint(std::string const& run, int step) const {
    return root / run / "checkpoints" / checkpoint::step_name(step);
  }
};

inline std::string bytes_of(fs::path const& p) {
  std::ifstream in(p, std::ios::binary);
  REQUIRE(in.good());
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}
/// A corpus of conversations instead.
struct chats : place {
  std::vector<std::string> data = chat_data(root, 1);
  std::vector<std::string> arguments(std::string const& run, std::vector<std::string> more = {}) const {
    std::vector<std::string> all{"--run", (root / run).string(), "--threads", "2"};
    all.insert(all.end(), data.begin(), data.end()), all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

/// SHA-256 of every tensor file of a checkpoint.
inline std::map<std::string, std::string> tensors(fs::path const& checkpoint) {
  std::map<std::string, std::string> all;
  for (auto const& f : fs::directory_iterator(checkpoint))
    if (f.path().extension() == ".safetensors") all[f.path().filename()] = sha256::hex_of(bytes_of(f.path()));
  REQUIRE(all.size() == 3);
  return all;
}
/// Whether the run's log, which has a line per step, handed to the system as soon as it is made, says `part`.
inline bool logged(fs::path const& run, std::string const& part) {
  return fs::exists(run / "log.jsonl") && bytes_of(run / "log.jsonl").find(part) != std::string::npos;
}
template <auto const& R, class Place>
int finish(Place const& p, std::string const& run, std::vector<std::string> more, std::string& printed) {
  child c(tenon::run<R>, p.arguments(run, more), p.log(run));
  int const code = c.wait();
  printed = c.printed();
  return code;
}

/// Straight through, against killed at two places and started again: the same bytes at the end. The run is long beside
/// the time that it takes to notice a step and to kill.
template <auto const& R, class Place = place>
void killed_equals_straight(Place const& p = {}) {
  std::vector<std::string> const length{"--steps", "150"};
  std::string printed;
  REQUIRE(finish<R>(p, "straight", length, printed) == 0);
  for (int kill_after : {7, 36}) {
    child c(tenon::run<R>, p.arguments("killed", length), p.log("killed"));
    REQUIRE(c.until([&] { return logged(p.root / "killed", "\"step\":" + std::to_string(kill_after) + ","); }));
    c.send(SIGKILL);
    REQUIRE(c.wait() == 1000 + SIGKILL);
  }
  REQUIRE(finish<R>(p, "killed", length, printed) == 0);
  DOCTEST_INFO(printed);
  auto const at = printed.find("resumed     at step ");
  REQUIRE(at != std::string::npos);
  int const step = std::stoi(printed.substr(at + 20));
  EXPECT(step >= 35);
  EXPECT(step < 150);
  EXPECT(printed.find("not bit for bit") == std::string::npos);
  EXPECT(tensors(p.checkpoint("straight", 150)) == tensors(p.checkpoint("killed", 150)));
}

}  // namespace app_test
