#include <map>
#include <nlohmann/json.hpp>

#include "support/child.hpp"
#include "support/test.hpp"
#include "tenon/tenon.hpp"

using namespace tenon;
using namespace tenon::literals;
namespace fs = std::filesystem;

namespace {

inline constexpr auto tiny = recipe(
    model::deepseek_llm{
        .vocab = 320, .hidden = 32, .layers = 2, .heads = 4, .kv_heads = 2, .intermediate = 48, .positions = 64},
    precision::fp32{}, horizon{24_steps}, batch{.sequence = 32_tokens, .global = 8_samples, .micro = 4_samples},
    schedule::warmup_cosine{.peak = 3e-3, .warmup = 4_steps}, checkpoint::every{.period = period{5_steps}, .keep = 3},
    observe::standard{.evaluate_every = 8_steps});
inline constexpr auto tiny_bf16 = tiny.with(precision::bf16{.emulated = true});
inline constexpr auto tiny_fp16 =
    tiny.with(precision::fp16{.emulated = true, .initial_scale = 1e9});  // overflows at first
inline constexpr auto wider = tiny.edit([](auto& r) { r.model.hidden = 48; });
inline constexpr auto staged = tiny.with(curriculum::by_length(
    {{.until = 6_steps, .high = 0.4}, {.until = 14_steps, .low = 0.2, .high = 0.7}, {.until = 24_steps, .low = 0.5}}));

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

std::string bytes_of(fs::path const& p) {
  std::ifstream in(p, std::ios::binary);
  REQUIRE(in.good());
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}
/// SHA-256 of every tensor file of a checkpoint.
std::map<std::string, std::string> tensors(fs::path const& checkpoint) {
  std::map<std::string, std::string> all;
  for (auto const& f : fs::directory_iterator(checkpoint))
    if (f.path().extension() == ".safetensors") all[f.path().filename()] = sha256::hex_of(bytes_of(f.path()));
  REQUIRE(all.size() == 3);
  return all;
}
template <auto const& R>
int finish(place const& p, std::string const& run, std::vector<std::string> more, std::string& printed) {
  child c(tenon::run<R>, p.arguments(run, more), p.log(run));
  int const code = c.wait();
  printed = c.printed();
  return code;
}

/// Straight through, against killed at two places and started again: the same bytes at the end.
template <auto const& R>
void killed_equals_straight() {
  place const p;
  std::string printed;
  REQUIRE(finish<R>(p, "straight", {}, printed) == 0);
  for (int kill_after : {7, 16}) {
    child c(tenon::run<R>, p.arguments("killed"), p.log("killed"));
    // log.jsonl has a line per step, handed to the system as soon as it is made
    REQUIRE(c.until([&] {
      return fs::exists(p.root / "killed" / "log.jsonl") &&
             bytes_of(p.root / "killed" / "log.jsonl").find("\"step\":" + std::to_string(kill_after) + ",") !=
                 std::string::npos;
    }));
    c.send(SIGKILL);
    REQUIRE(c.wait() == 1000 + SIGKILL);
  }
  REQUIRE(finish<R>(p, "killed", {}, printed) == 0);
  DOCTEST_INFO(printed);
  EXPECT(printed.find("resumed     at step 15") != std::string::npos);
  EXPECT(printed.find("not bit for bit") == std::string::npos);
  EXPECT(tensors(p.checkpoint("straight", 24)) == tensors(p.checkpoint("killed", 24)));
}

}  // namespace

TEST("killed and resumed ends with the same bytes as straight through: fp32") { killed_equals_straight<tiny>(); }
TEST("killed and resumed ends with the same bytes as straight through: bf16") { killed_equals_straight<tiny_bf16>(); }
TEST("killed and resumed ends with the same bytes as straight through: fp16 with overflows") {
  killed_equals_straight<tiny_fp16>();
}

TEST("SIGTERM finishes the step, saves, leaves with code 3, and the same command goes on to the same bytes") {
  place const p;
  std::string printed;
  REQUIRE(finish<tiny>(p, "straight", {}, printed) == 0);
  {
    child c(tenon::run<tiny>, p.arguments("stopped"), p.log("stopped"));
    REQUIRE(c.until([&] {
      return c.printed().find("step 2/") != std::string::npos || c.printed().find("step 1/") != std::string::npos;
    }));
    c.send(SIGTERM);
    REQUIRE(c.wait() == 3);
    EXPECT(c.printed().find("The same command goes on from there") != std::string::npos);
  }
  REQUIRE(finish<tiny>(p, "stopped", {}, printed) == 0);
  EXPECT(tensors(p.checkpoint("straight", 24)) == tensors(p.checkpoint("stopped", 24)));
}

TEST("a finished run started again does nothing and says so by ending well") {
  place const p;
  std::string printed;
  REQUIRE(finish<tiny>(p, "run", {}, printed) == 0);
  auto const before = tensors(p.checkpoint("run", 24));
  REQUIRE(finish<tiny>(p, "run", {}, printed) == 0);
  EXPECT(printed.find("resumed     at step 24") != std::string::npos);
  EXPECT(tensors(p.checkpoint("run", 24)) == before);
}

TEST("a damaged newest checkpoint is named and the one before it is used") {
  place const p;
  std::string printed;
  REQUIRE(finish<tiny>(p, "run", {}, printed) == 0);
  auto const before = tensors(p.checkpoint("run", 24));
  auto const victim = p.checkpoint("run", 24) / "optimizer.safetensors";
  auto bytes = bytes_of(victim);
  bytes[bytes.size() / 2] = char(bytes[bytes.size() / 2] ^ 1);
  std::ofstream(victim, std::ios::binary) << bytes;
  REQUIRE(finish<tiny>(p, "run", {}, printed) == 0);
  EXPECT(printed.find("step_00000024' is damaged: optimizer.safetensors") != std::string::npos);
  EXPECT(printed.find("resumed     at step 20") != std::string::npos);
  EXPECT(tensors(p.checkpoint("run", 24)) == before);
}

TEST("another identity is refused by the field's name; another number only without --change") {
  place const p;
  std::string printed;
  REQUIRE(finish<tiny>(p, "run", {"--steps", "10"}, printed) == 0);
  EXPECT(finish<wider>(p, "run", {"--steps", "10"}, printed) == 1);
  EXPECT(printed.find("model.hidden is 32 in it and 48 in this program") != std::string::npos);
  EXPECT(finish<tiny>(p, "run", {"--steps", "10", "--schedule.peak=1e-3"}, printed) == 1);
  EXPECT(printed.find("schedule.peak = 0.003, and now it is 0.001") != std::string::npos);
  EXPECT(finish<tiny>(p, "run", {"--steps", "10", "--checkpoint.period=3"}, printed) == 0);  // operational: free
  EXPECT(finish<tiny>(p, "run", {"--change", "horizon=14_steps", "--change", "schedule.peak=1e-3"}, printed) == 0);
  auto const manifest = nlohmann::json::parse(bytes_of(p.checkpoint("run", 14) / "manifest.json"))["body"];
  REQUIRE(manifest["changes"].size() == 2);
  EXPECT(manifest["changes"][1]["path"] == "schedule.peak");
  EXPECT(manifest["changes"][1]["step"] == 10);
}

TEST("text that changed since the start is refused") {
  place const p;
  std::string printed;
  REQUIRE(finish<tiny>(p, "run", {"--steps", "5"}, printed) == 0);
  std::ofstream(p.root / "text" / "part0.txt", std::ios::app) << "one more line\n";
  EXPECT(finish<tiny>(p, "run", {"--steps", "5"}, printed) == 1);
  EXPECT(printed.find("the text has changed since the run was started") != std::string::npos);
}

TEST("what cannot be run is refused with code 2 and one sentence; nothing is written") {
  place const p;
  std::string printed;
  EXPECT(finish<tiny>(p, "run", {"--model.hidden=64"}, printed) == 2);
  EXPECT(printed.find("compiled in") != std::string::npos);
  EXPECT(finish<tiny>(p, "run", {"--shedule.peak=1e-3"}, printed) == 2);
  EXPECT(printed.find("schedule.peak") != std::string::npos);
  EXPECT(finish<tiny>(p, "run", {"--schedule.warmup=100_steps"}, printed) == 2);
  EXPECT(printed.find("warmup") != std::string::npos);
  EXPECT(!fs::exists(p.root / "run"));
}

TEST("two programs cannot write into one run") {
  place const p;
  child first(tenon::run<tiny>, p.arguments("run", {"--steps", "100000"}), p.log("first"));
  REQUIRE(first.until([&] { return first.printed().find("step 1/") != std::string::npos; }));
  std::string printed;
  EXPECT(finish<tiny>(p, "run", {"--steps", "100000"}, printed) == 1);
  DOCTEST_INFO(printed);
  EXPECT(printed.find("is being written by another process") != std::string::npos);
  first.send(SIGINT);
  EXPECT(first.wait() == 3);
}

TEST("--plan says what will run and starts nothing; --json is JSON") {
  place const p;
  std::string printed;
  REQUIRE(finish<tiny>(p, "run", {"--plan"}, printed) == 0);
  for (auto part : {"model.hidden", "set here", "default", "learning rate", "activations", "digests", "dtypes"})
    EXPECT(printed.find(part) != std::string::npos);
  REQUIRE(finish<tiny>(p, "run", {"--plan", "--json"}, printed) == 0);
  auto const j = nlohmann::json::parse(printed);
  EXPECT(j["plan"]["steps"] == 24);
  EXPECT(j["plan"]["parameters"] == plan<tiny>.parameters);
  EXPECT(!fs::exists(p.root / "run"));
}

TEST("curriculum: easy documents first, by length, and resume inside a stage replays nothing") {
  place const p;
  for (int d = 0; d < 12; ++d)
    std::ofstream(p.root / "text" / ("note" + std::to_string(d) + ".txt")) << "a short note, number " << d << "\n";
  std::string printed;
  REQUIRE(finish<staged>(p, "straight", {}, printed) == 0);
  auto const log = bytes_of(p.root / "straight" / "log.jsonl");
  for (auto stage : {"\"stage\":0", "\"stage\":1", "\"stage\":2"}) EXPECT(log.find(stage) != std::string::npos);
  {
    child c(tenon::run<staged>, p.arguments("stopped"), p.log("stopped"));
    REQUIRE(c.until([&] {
      return fs::exists(p.root / "stopped" / "log.jsonl") &&
             bytes_of(p.root / "stopped" / "log.jsonl").find("\"stage\":1") != std::string::npos;
    }));
    c.send(SIGKILL);
    REQUIRE(c.wait() == 1000 + SIGKILL);
  }
  REQUIRE(finish<staged>(p, "stopped", {}, printed) == 0);
  EXPECT(tensors(p.checkpoint("straight", 24)) == tensors(p.checkpoint("stopped", 24)));
}

TEST("--init starts from another run's weights; another shape is refused by the tensor's name") {
  place const p;
  std::string printed;
  REQUIRE(finish<tiny>(p, "first", {"--steps", "5"}, printed) == 0);
  auto const from = p.checkpoint("first", 5).string();
  REQUIRE(finish<tiny>(p, "second", {"--steps", "5", "--init", from, "--schedule.peak=1e-12"}, printed) == 0);
  checkpoint::safetensors_file const a(p.checkpoint("first", 5) / "model.safetensors"),
      b(p.checkpoint("second", 5) / "model.safetensors");
  auto const name = "model.layers.1.mlp.down_proj.weight";
  auto const *x = reinterpret_cast<float const*>(a.at(name).bytes.data()),
             *y = reinterpret_cast<float const*>(b.at(name).bytes.data());
  for (int i = 0; i < 32 * 48; ++i) REQUIRE(std::abs(x[i] - y[i]) < 1e-8);  // started there and hardly moved
  EXPECT(finish<wider>(p, "third", {"--init", from}, printed) == 1);
  EXPECT(printed.find("has another dtype or shape than this recipe's") != std::string::npos);
}

TEST("--recipe takes another run's numbers; overrides have the last word") {
  place const p;
  std::string printed;
  REQUIRE(finish<tiny>(p, "first", {"--steps", "5", "--schedule.peak=2e-3"}, printed) == 0);
  auto const file = (p.root / "first" / "recipe.json").string();
  REQUIRE(finish<tiny>(p, "second", {"--recipe", file, "--plan", "--json", "--seed", "9"}, printed) == 0);
  auto const j = nlohmann::json::parse(printed);
  EXPECT(j["recipe"]["schedule"]["peak"] == 2e-3);
  EXPECT(j["recipe"]["horizon"] == "5_steps");
  EXPECT(j["recipe"]["seed"]["value"] == 9);
  EXPECT(finish<wider>(p, "third", {"--recipe", file}, printed) == 2);
  EXPECT(printed.find("hidden") != std::string::npos);
}

TEST("the name of a recipe is that of its variable") { EXPECT_EQ(app::name_of_recipe<tiny_bf16>(), "tiny_bf16"); }
