#include "support/program.hpp"

using namespace app_test;

namespace {

inline constexpr auto two_to_one = tiny.with(data::mixed({2, 1}));

/// The corpus of every place, and a second one of other lines.
struct two_places : place {
  std::vector<std::string> both;
  two_places() {
    fs::create_directories(root / "other");
    for (int d = 0; d < 5; ++d) {
      std::ofstream out(root / "other" / ("page" + std::to_string(d) + ".txt"));
      for (int i = 0; i < 20; ++i) out << "page " << d << ", row " << i * i << "; nothing is added here\n";
    }
    both = {"--data", (root / "other").string()};
  }
  std::vector<std::string> with(std::vector<std::string> more) const {
    more.insert(more.begin(), both.begin(), both.end());
    return more;
  }
};

}  // namespace

TEST("two sources: killed and resumed ends with the same bytes as straight through") {
  two_places const p;
  auto const more = p.with({"--steps", "150"});
  std::string printed;
  REQUIRE(finish<two_to_one>(p, "straight", more, printed) == 0);
  EXPECT(printed.find("text: 683 of 1024 samples") != std::string::npos);
  EXPECT(printed.find("other: 341 of 1024 samples") != std::string::npos);
  EXPECT(printed.find("held out, source by source: ") != std::string::npos);
  for (int kill_after : {7, 36}) {
    child c(tenon::run<two_to_one>, p.arguments("killed", more), p.log("killed"));
    REQUIRE(c.until([&] { return logged(p.root / "killed", "\"step\":" + std::to_string(kill_after) + ","); }));
    c.send(SIGKILL);
    REQUIRE(c.wait() == 1000 + SIGKILL);
  }
  REQUIRE(finish<two_to_one>(p, "killed", more, printed) == 0);
  DOCTEST_INFO(printed);
  auto const at = printed.find("resumed     at step ");
  REQUIRE(at != std::string::npos);
  EXPECT(std::stoi(printed.substr(at + 20)) >= 35);
  EXPECT(tensors(p.checkpoint("straight", 150)) == tensors(p.checkpoint("killed", 150)));
  auto const manifest = nlohmann::json::parse(bytes_of(p.checkpoint("killed", 150) / "manifest.json"))["body"];
  EXPECT(manifest["cursor"]["epoch"] == 0);
  EXPECT(manifest["cursor"]["sample"] == 150 * 8);
}

TEST("a mixture needs a path for each weight: one sentence, code 2, nothing written") {
  two_places const p;
  std::string printed;
  EXPECT(finish<two_to_one>(p, "run", {}, printed) == 2);
  EXPECT(printed.find("the recipe mixes 2 sources and the command line names 1; give --data once for each weight") !=
         std::string::npos);
  EXPECT(finish<two_to_one>(p, "run", p.with(p.both), printed) == 2);
  EXPECT(printed.find("names 3") != std::string::npos);
  EXPECT(finish<two_to_one>(p, "run", p.with({"--data.weights.1=0"}), printed) == 2);
  EXPECT(printed.find("[tenon.mixture_weights_in_range]") != std::string::npos);
  EXPECT(!fs::exists(p.root / "run"));
  EXPECT(finish<two_to_one>(p, "run", {"--plan", "--data.held_out=0.2", "--data.weights.0=3"}, printed) == 0);
  EXPECT(!fs::exists(p.root / "run"));
}

TEST("other weights or other sources on resume are refused, even with --change") {
  two_places const p;
  std::string printed;
  REQUIRE(finish<two_to_one>(p, "run", p.with({"--steps", "5"}), printed) == 0);
  EXPECT(finish<two_to_one>(p, "run", p.with({"--steps", "5", "--data.weights.0=3"}), printed) == 1);
  EXPECT(printed.find("this run was started with data.weights.0 = 2, and now it is 3") != std::string::npos);
  EXPECT(finish<two_to_one>(p, "run", p.with({"--steps", "5", "--change", "data.weights.0=3"}), printed) == 1);
  EXPECT(printed.find("the order of the data follows from it") != std::string::npos);
  std::ofstream(p.root / "other" / "page0.txt", std::ios::app) << "one more line\n";
  EXPECT(finish<two_to_one>(p, "run", p.with({"--steps", "5"}), printed) == 1);
  EXPECT(printed.find("the text has changed since the run was started") != std::string::npos);
}
