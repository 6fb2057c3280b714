#include "live/live.hpp"
#include "support/program.hpp"
#include "tenon/app/generate.hpp"
#include "tenon/app/model_tools.hpp"

using namespace app_test;

namespace {

inline constexpr auto wider = tiny.edit([](auto& r) { r.model.hidden = 48; });
inline constexpr auto for_gpu = tiny.with(target::h100{});
inline constexpr auto staged = tiny.edit([](auto& r) { r.horizon = 150_steps; })
                                   .with(curriculum::by_length({{.until = 30_steps, .high = 0.4},
                                                                {.until = 90_steps, .low = 0.2, .high = 0.7},
                                                                {.until = 150_steps, .low = 0.5}}));

}  // namespace

TEST("R8: killed and resumed ends with the same bytes as straight through: fp32") { killed_equals_straight<tiny>(); }

TEST("F1: SIGTERM finishes the step, saves, leaves with code 3, and the same command goes on to the same bytes") {
  place const p;
  std::vector<std::string> const length{"--steps", "200"};
  std::string printed;
  REQUIRE(finish<tiny>(p, "straight", length, printed) == 0);
  {
    child c(tenon::run<tiny>, p.arguments("stopped", length), p.log("stopped"));
    REQUIRE(c.until([&] { return logged(p.root / "stopped", "\"step\":2,"); }));
    c.send(SIGTERM);
    REQUIRE(c.wait() == 3);
    EXPECT(c.printed().find("The same command goes on from there") != std::string::npos);
  }
  REQUIRE(finish<tiny>(p, "stopped", length, printed) == 0);
  EXPECT(tensors(p.checkpoint("straight", 200)) == tensors(p.checkpoint("stopped", 200)));
}

TEST("a finished run started again does nothing and says so by ending well") {
  place const p;
  std::string printed;
  REQUIRE(finish<tiny>(p, "run", {}, printed) == 0);
  auto const before = tensors(p.checkpoint("run", 24));
  // The three digests, whole, are in the program itself, the log, TensorBoard's file and the checkpoint.
  auto const d = digests(tiny);
  auto const holds = [](std::filesystem::path const& file, std::string const& text) {
    return bytes_of(file).find(text) != std::string::npos;
  };
  EXPECT(holds("/proc/self/exe", "tenon recipe: identity " + d.identity + " layout " + d.layout + " numbers " + d.numbers));
  bool in_events = false;
  for (auto const* one : {&d.identity, &d.layout}) {
    EXPECT(holds(p.root / "run" / "log.jsonl", *one));
    EXPECT(holds(p.checkpoint("run", 24) / "manifest.json", *one));
    for (auto const& file : std::filesystem::directory_iterator(p.root / "run" / "tensorboard"))
      in_events = in_events || holds(file.path(), *one);
    EXPECT(in_events);
  }
  REQUIRE(finish<tiny>(p, "run", {}, printed) == 0);
  EXPECT(printed.find("resumed     at step 24") != std::string::npos);
  EXPECT(printed.find("this run is complete") != std::string::npos);
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

TEST("a recipe for a GPU is refused at launch with code 2 and the rule's sentence; nothing is written") {
  place const p;
  std::string printed;
  EXPECT(finish<for_gpu>(p, "run", {}, printed) == 2);
  EXPECT(printed.find("[tenon.target_present]") != std::string::npos);
  EXPECT(!fs::exists(p.root / "run"));
}

TEST("a path that does not exist is refused at launch with code 2 and its name; nothing is written") {
  place const p;
  std::string printed;
  auto const nowhere = (p.root / "nowhere").string();
  for (std::vector<std::string> const& line : {std::vector<std::string>{"--data", nowhere},
                                               {"--init", nowhere}, {"--data.tokenizer=" + nowhere}}) {
    EXPECT(finish<tiny>(p, "run", line, printed) == 2);
    EXPECT(printed.find("[tenon.files_present]") != std::string::npos);
    EXPECT(printed.find("path = " + nowhere) != std::string::npos);
  }
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

TEST("P3: --plan says what will run and starts nothing; --json is JSON") {
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

TEST("R4: curriculum: easy documents first, by length, and resume inside a stage replays nothing") {
  place const p;
  for (int d = 0; d < 12; ++d)
    std::ofstream(p.root / "text" / ("note" + std::to_string(d) + ".txt")) << "a short note, number " << d << "\n";
  std::string printed;
  REQUIRE(finish<staged>(p, "straight", {}, printed) == 0);
  auto const log = bytes_of(p.root / "straight" / "log.jsonl");
  for (auto stage : {"\"stage\":0", "\"stage\":1", "\"stage\":2"}) EXPECT(log.find(stage) != std::string::npos);
  {
    child c(tenon::run<staged>, p.arguments("stopped"), p.log("stopped"));
    REQUIRE(c.until([&] { return logged(p.root / "stopped", "\"stage\":1"); }));
    c.send(SIGKILL);
    REQUIRE(c.wait() == 1000 + SIGKILL);
  }
  REQUIRE(finish<staged>(p, "stopped", {}, printed) == 0);
  EXPECT(tensors(p.checkpoint("straight", 150)) == tensors(p.checkpoint("stopped", 150)));
  EXPECT(finish<staged>(p, "stopped", {"--seed", "9"}, printed) == 1);
  EXPECT(printed.find("seed.value = 1, and now it is 9; the order of the data follows from it") != std::string::npos);
  // Beyond the end: the last stage moves along, the others stay.
  EXPECT(finish<staged>(p, "stopped",
                        {"--change", "horizon=156_steps", "--change", "curriculum.list.2.until=156_steps"},
                        printed) == 0);
  EXPECT(fs::exists(p.checkpoint("stopped", 156)));
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
  EXPECT(printed.find("this recipe's is [") != std::string::npos);
}

TEST(
    "an exported run is the --init of another: bf16 shards, tokenizer and ids come along, and it goes on without "
    "--init") {
  place const p;
  std::string printed;
  REQUIRE(finish<tiny>(p, "first", {"--steps", "5"}, printed) == 0);
  auto const out = p.root / "exported";
  auto const done =
      deploy::export_run({.run = p.root / "first", .out = out, .type = checkpoint::dtype::BF16, .shard_bytes = 45'000});
  EXPECT_EQ(done.step, 5);
  EXPECT_EQ(done.parameters, tiny.model.parameters());
  EXPECT(fs::exists(out / "model-00001-of-00002.safetensors"));
  EXPECT(fs::file_size(out / "model-00001-of-00002.safetensors") <= 48'000);
  EXPECT(fs::exists(out / "tokenizer_config.json"));
  auto const config = deploy::read_json_object(out / "config.json");
  EXPECT_EQ(config["dtype"], "bfloat16");
  EXPECT_EQ(config["eos_token_id"], 0);
  EXPECT(bytes_of(out / "tokenizer.json") == bytes_of(p.root / "first" / "tokenizer.json"));
  EXPECT_THROWS_WITH(deploy::export_run({.run = p.root / "first", .out = out}), "exists already");
  EXPECT_THROWS_WITH(deploy::export_run({.run = p.root / "first", .out = p.root / "x", .step = 4}),
                     "no checkpoint of step 4");
  EXPECT_THROWS_WITH(deploy::export_run({.run = p.root / "text", .out = p.root / "x"}), "has no checkpoint");
  EXPECT(!fs::exists(p.root / "x"));

  auto const from = out.string();
  EXPECT(finish<wider>(p, "wide", {"--init", from}, printed) == 1);
  EXPECT(printed.find("model.hidden is 32 there and 48 here") != std::string::npos);
  REQUIRE(finish<tiny>(p, "second", {"--steps", "5", "--init", from, "--schedule.peak=1e-12"}, printed) == 0);
  checkpoint::weight_files rounded(out);
  checkpoint::safetensors_file const second(p.checkpoint("second", 5) / "model.safetensors");
  for (auto const& [name, t] : second.tensors()) {
    std::vector<float> start(t.bytes.size() / 4), end(start.size());
    rounded.read(name, t.shape, start.data());
    std::memcpy(end.data(), t.bytes.data(), t.bytes.size());
    for (std::size_t i = 0; i < end.size(); ++i) REQUIRE(std::abs(start[i] - end[i]) < 1e-8);  // hardly moved
  }
  rounded.finish();
  EXPECT(bytes_of(p.root / "second" / "tokenizer.json") == bytes_of(p.root / "first" / "tokenizer.json"));
  REQUIRE(finish<tiny>(p, "second", {"--change", "horizon=7_steps", "--change", "schedule.peak=1e-12"}, printed) == 0);
  EXPECT(printed.find("resumed     at step 5") != std::string::npos);
  fs::create_directories(p.root / "third");
  fs::copy_file(p.root / "second" / "imported.json", p.root / "third" / "imported.json");
  EXPECT(finish<tiny>(p, "third", {}, printed) == 1);
  EXPECT(printed.find("give --init") != std::string::npos);
}

TEST(
    "text from a run: prompts grow together as each does alone, stop texts end them, a conversation takes its "
    "template") {
  place const p;
  std::string printed;
  REQUIRE(finish<tiny>(p, "run", {}, printed) == 0);
  auto const run = (p.root / "run").string();
  auto const asked = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {run, "--threads", "2"});
    child c(app::generate<tiny>, more, p.log("text"));
    printed.clear();
    int const code = c.wait();
    printed = c.printed();
    return code;
  };
  auto const texts = [&] {
    std::vector<nlohmann::json> all;
    std::istringstream lines(printed);
    for (std::string line; std::getline(lines, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  };
  REQUIRE(asked({"--prompt", "line 1 of", "--prompt", "the sum", "--prompt", "", "--temperature", "0", "--tokens", "24",
                 "--json"}) == 0);
  auto const together = texts();
  REQUIRE(together.size() == 3);
  for (auto const& t : together) {
    EXPECT_EQ(t["tokens"], 24);
    EXPECT_EQ(t["finish"], "length");
    REQUIRE(asked({"--prompt", t["prompt"].get<std::string>(), "--temperature=0", "--tokens=24", "--json"}) == 0);
    EXPECT_EQ(texts()[0]["text"], t["text"]);
    REQUIRE(asked({"--prompt", t["prompt"].get<std::string>(), "--temperature=0", "--tokens=24"}) == 0);
    EXPECT_EQ(printed, t["prompt"].get<std::string>() + t["text"].get<std::string>() + "\n");
  }
  auto const text = together[0]["text"].get<std::string>();
  std::size_t plain = text.size() / 3;  // two letters that are characters of their own
  while (plain + 2 < text.size() && ((text[plain] | text[plain + 1]) & 0x80)) ++plain;
  auto const stop = text.substr(plain, 2);
  REQUIRE(asked({"--prompt", "line 1 of", "--temperature=0", "--tokens=24", "--stop", stop, "--json"}) == 0);
  EXPECT_EQ(texts()[0]["text"], text.substr(0, text.find(stop)));
  EXPECT_EQ(texts()[0]["finish"], "stop");

  // Each option reaches the draw: a single candidate is the greedy text, whichever way it was singled out.
  auto const drawn = [&](std::vector<std::string> more) {
    for (auto const* one : {"--prompt", "line 1 of", "--tokens=24", "--json"}) more.emplace_back(one);
    REQUIRE(asked(more) == 0);
    return texts()[0]["text"].get<std::string>();
  };
  EXPECT_EQ(drawn({"--temperature=1", "--top-k=1", "--top-p=1"}), text);
  EXPECT_EQ(drawn({"--temperature=1", "--top-p=1e-9"}), text);
  EXPECT_EQ(drawn({"--temperature=1e-6"}), text);
  EXPECT(drawn({"--temperature=0", "--repetition-penalty=50"}) != text);
  auto const free = drawn({"--temperature=2", "--top-p=1", "--seed=5"});
  EXPECT_EQ(drawn({"--temperature=2", "--top-p=1", "--seed=5"}), free);
  EXPECT(drawn({"--temperature=2", "--top-p=1", "--seed=6"}) != free);

  EXPECT(asked({"--chat", "--prompt", "hello"}) == 1);
  EXPECT(printed.find("has no chat template") != std::string::npos);
  std::ofstream(p.root / "run" / "chat_template.jinja") << "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% "
                                                           "endfor %}{% if add_generation_prompt %}line{% endif %}";
  REQUIRE(asked({"--chat", "--prompt", "hello", "--temperature=0", "--tokens=4", "--json"}) == 0);
  auto const answer = texts();
  REQUIRE(answer.size() == 1);
  EXPECT_EQ(answer[0]["prompt"], "hello");
  REQUIRE(asked({"--prompt", "user: hello\nline", "--temperature=0", "--tokens=4", "--json"}) == 0);
  EXPECT(texts()[0]["text"] != "");  // (its prompt begins with the begin of text; the template's text does not)

  EXPECT(asked({"--tempurature", "1"}) == 1);
  EXPECT(printed.find("did you mean --temperature?") != std::string::npos);
  EXPECT(asked({"--top-p", "1.5"}) == 1);
  EXPECT(asked({"--step", "999"}) == 1);
  EXPECT(printed.find("has no checkpoint of step 999") != std::string::npos);
  EXPECT(asked({"--prompt", std::string(400, 'x')}) == 1);
  EXPECT(printed.find("64 positions; shorten it") != std::string::npos);
}

TEST("live: a model of transformers is imported, trained, exported, and transformers has our loss" *
     doctest::skip(live::off())) {
  place const p;
  auto const text = p.root / "text.txt", model = p.root / "model", out = p.root / "exported";
  for (auto const& e : fs::directory_iterator(p.root / "text"))
    std::ofstream(text, std::ios::binary | std::ios::app) << bytes_of(e.path());
  auto const made = live::python("tiny_model.py", model.string(), text.string());
  DOCTEST_INFO(made.output);
  REQUIRE(made.code == 0);
  std::string policy;
  deploy::with_config(deploy::read_json_object(model / "config.json"), "config.json",
                      [&](auto const& c) { policy = deploy::policy_text(c.model); });
  EXPECT_EQ(policy, deploy::policy_text(tiny.model));

  child c(tenon::run<tiny>,
          {"--run", (p.root / "R").string(), "--data", text.string(), "--init", model.string(), "--steps", "50"},
          p.log("R"));
  int const code = c.wait();
  DOCTEST_INFO(c.printed());
  REQUIRE(code == 0);
  EXPECT_EQ(deploy::export_run({.run = p.root / "R", .out = out}).step, 50);
  auto const printed = c.printed(), log = bytes_of(p.root / "R" / "log.jsonl");
  auto const size = printed.substr(printed.find("held out: 1 documents, ") + 23);
  auto const loss = log.substr(log.rfind("\"val_loss\":") + 11);
  auto const numbers = std::pair{std::to_string(std::stoi(size)), std::to_string(std::stod(loss))};
  auto const result =
      live::python("exported_loss.py", out.string(), text.string(), numbers.first, numbers.second, std::string("32"));
  DOCTEST_INFO(result.output);
  EXPECT_EQ(result.code, 0);
  auto const other = live::python("exported_loss.py", out.string(), text.string(), numbers.first,
                                  std::to_string(std::stod(loss) + 1e-3), std::string("32"));
  EXPECT(other.code != 0);  // the comparison can fail
}

TEST("a run of more than an hour begins only when its rehearsal has passed; the rehearsal's own run says whether") {
  place const p;
  std::string printed;
  REQUIRE(finish<tiny>(p, "small", {"--no-rehearsal"}, printed) == 0);
  auto const small = p.root / "small";
  auto const identity = digests(tiny).identity;
  EXPECT_EQ(app::why_not_rehearsed(small, identity, 24_steps), "");
  EXPECT(app::why_not_rehearsed(small, identity, 25_steps).find("stopped at step 24 of 25") != std::string::npos);
  EXPECT(app::why_not_rehearsed(small, digests(wider).identity, 24_steps).find("another run") != std::string::npos);
  EXPECT(app::why_not_rehearsed(p.root / "nowhere", identity, 24_steps).find("holds no run") != std::string::npos);

  std::string const long_run = "2000000000";
  REQUIRE(plan<tiny>.seconds_per_step * 2e9 > app::long_run_seconds);
  EXPECT(finish<tiny>(p, "long", {"--steps", long_run}, printed) == 2);
  EXPECT(printed.find("its rehearsal has not passed: 'runs/tiny_rehearsal' holds no run") != std::string::npos);
  EXPECT(finish<tiny>(p, "long", {"--steps", long_run, "--rehearsed", small.string()}, printed) == 2);
  EXPECT(printed.find("holds another run") != std::string::npos);  // of the same types, and yet not the rehearsal
  EXPECT(checkpoint::list_checkpoints(p.root / "long").empty());

  std::ofstream(small / "log.jsonl", std::ios::app) << R"({"event":{"action":"step"},"tenon":{"step":25,"loss":99.0}})"
                                                    << "\n";
  EXPECT(app::why_not_rehearsed(small, identity, 24_steps).find("did not fall") != std::string::npos);
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

TEST("the name of a recipe is that of its variable") { EXPECT_EQ(app::name_of_recipe<wider>(), "wider"); }
