#include "tenon/checkpoint/transaction.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <random>
#include <set>

#include "checkpoint/faulty_io.hpp"
#include "observe/python.hpp"
#include "support/test.hpp"

using namespace tenon::checkpoint;
using tenon_test::fault;
using tenon_test::faulty_io;
using tenon_test::run_python;
using tenon_test::sample_state;
using tenon_test::slurp;
using tenon_test::spill;
using tenon_test::temporary_directory;

namespace {

std::set<std::string> names_in(path const& directory) {
  std::set<std::string> names;
  if (std::filesystem::exists(directory))
    for (auto const& entry : std::filesystem::directory_iterator(directory))
      names.insert(entry.path().filename().string());
  return names;
}

// Four situations in which a save can be cut short: what was there, what is done, and what may be found afterwards.
struct situation {
  std::string name;
  std::vector<sample_state> before;
  std::function<void(path const&)> act;
  std::vector<sample_state> after;  // one of these must be the newest valid ...
  bool or_nothing = false;          // ... or nothing at all, which only a first save may leave
};

std::vector<situation> situations() {
  auto const save = [](sample_state state) { return [state](path const& run) { state.save<faulty_io>(run); }; };
  return {
      {"first save", {}, save(sample_state(10)), {sample_state(10)}, true},
      {"next save", {sample_state(10)}, save(sample_state(20)), {sample_state(10), sample_state(20)}},
      {"second save of a step", {sample_state(20)}, save(sample_state(20, 1)), {sample_state(20), sample_state(20, 1)}},
      {"save and prune",
       {sample_state(10), sample_state(20)},
       [](path const& run) {
         sample_state(30).save<faulty_io>(run);
         prune_checkpoints<faulty_io>(run, 1);
       },
       {sample_state(20), sample_state(30)}},
  };
}

bool as_promised(situation const& s, search_result const& found) {
  if (!found.newest) return s.or_nothing;
  for (auto const& state : s.after)
    if (state.is(*found.newest)) return true;
  return false;
}

void prepare(situation const& s, path const& run) {
  for (auto const& state : s.before) state.save<posix_io>(run);
}

}  // namespace

TEST("a checkpoint comes back as it was saved") {
  temporary_directory const folder;
  path const run = folder.path / "deep" / "run";
  EXPECT(!newest_valid(run).newest);
  auto const done = sample_state(1000).save<posix_io>(run);
  EXPECT_EQ(done.directory, run / "checkpoints" / "step_00001000");
  EXPECT_EQ(done.note, "");
  sample_state(2000).save<posix_io>(run);
  EXPECT(names_in(run / "checkpoints") == std::set<std::string>{"step_00001000", "step_00002000", "latest"});
  EXPECT(names_in(done.directory) ==
         std::set<std::string>{"model.safetensors", "optimizer.safetensors", "tokenizer.json", "manifest.json"});
  EXPECT_EQ(std::filesystem::read_symlink(run / "checkpoints" / "latest"), "step_00002000");
  auto const found = newest_valid(run);
  REQUIRE(found.newest.has_value());
  EXPECT(sample_state(2000).is(*found.newest));
  EXPECT(found.damaged.empty());
}

TEST("the manifest's checksums are right by outside reckoning") {
  temporary_directory const folder;
  auto const done = sample_state(7).save<posix_io>(folder.path);
  EXPECT_EQ(run_python(R"(
import hashlib, json, sys, os
from safetensors.numpy import load_file
d = sys.argv[1]
m = json.load(open(d + '/manifest.json'))
body = m['body']
assert hashlib.sha256(json.dumps(body, sort_keys=True, separators=(',', ':')).encode()).hexdigest() == m['sha256']
for name, f in sorted(body['files'].items()):
    raw = open(os.path.join(d, name), 'rb').read()
    assert len(raw) == f['size'] and hashlib.sha256(raw).hexdigest() == f['sha256'], name
    print(name, sorted(load_file(os.path.join(d, name))) == sorted(f['tensors']) if name.endswith('safetensors') else '-')
)",
                       done.directory),
            "model.safetensors True\noptimizer.safetensors True\ntokenizer.json -\n");
}

TEST("K1: killed at every system call, a save leaves the new checkpoint or the one before, whole") {
  for (auto const& s : situations()) {
    DOCTEST_CAPTURE(s.name);
    int points = 0, new_found = 0;
    for (bool ended = false; !ended;) {
      temporary_directory const folder;
      path const run = folder.path / "run";
      prepare(s, run);
      pid_t const child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        faulty_io::arm(fault::death, points + 1);
        try {
          s.act(run);
        } catch (...) {
          ::_exit(1);
        }
        ::_exit(0);
      }
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      REQUIRE(WIFEXITED(status));
      REQUIRE((WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0));
      ended = WEXITSTATUS(status) == 0;
      ++points;
      DOCTEST_CAPTURE(points);
      auto const found = newest_valid(run);
      EXPECT(as_promised(s, found));
      EXPECT(found.damaged.empty());
      if (found.newest && s.after.back().is(*found.newest)) ++new_found;
      clean_checkpoints(run);
      auto const again = newest_valid(run);
      EXPECT(as_promised(s, again));
      EXPECT_EQ(again.newest.has_value(), found.newest.has_value());
      if (found.newest && again.newest) EXPECT(again.newest->contents == found.newest->contents);
      for (auto const& name : names_in(root_of(run))) EXPECT(name.front() != '.');
      sample_state(40).save<posix_io>(run);  // and the run goes on
      auto const onward = newest_valid(run);
      EXPECT((onward.newest && sample_state(40).is(*onward.newest)));
    }
    EXPECT(points > 30);
    EXPECT(new_found > 0);
    EXPECT(new_found < points);
    DOCTEST_MESSAGE(s.name << ": killed at " << points - 1 << " system calls");
  }
}

TEST("an error at every system call is reported, the temporary goes, and earlier checkpoints stay") {
  for (int const code : {EIO, ENOSPC}) {
    for (auto const& s : situations()) {
      DOCTEST_CAPTURE(s.name);
      for (int point = 1;; ++point) {
        DOCTEST_CAPTURE(point);
        temporary_directory const folder;
        path const run = folder.path / "run";
        prepare(s, run);
        faulty_io::arm(fault::error, point, code);
        std::string what;
        bool uncertain = false;
        try {
          s.act(run);
        } catch (durability_uncertain const& failure) {
          uncertain = true;
          what = failure.what();
        } catch (io_error const& failure) {
          what = failure.what();
          EXPECT_EQ(failure.code, code);
        }
        std::string const struck = faulty_io::struck;
        faulty_io::arm(fault::none, 0);
        if (struck.empty()) {  // ran clean: every call has had its turn
          EXPECT_EQ(what, "");
          EXPECT(point > 30);
          break;
        }
        DOCTEST_CAPTURE(struck);
        auto const found = newest_valid(run);
        EXPECT(as_promised(s, found));
        if (!what.empty()) {
          EXPECT(what.find(std::strerror(code)) != std::string::npos);
          EXPECT(what.find(folder.path.string()) != std::string::npos);
        }
        if (uncertain) EXPECT((found.newest && s.after.back().is(*found.newest)));
        // Nothing reported: then either the call only removed, read back or set the hint, or the new checkpoint is in
        // place.
        if (what.empty()) EXPECT((found.newest && s.after.back().is(*found.newest)));
        if (struck != "unlink" && struck != "rmdir" && !uncertain)
          for (auto const& name : names_in(root_of(run))) EXPECT(name.rfind(".tmp-", 0) != 0);
      }
    }
  }
}

TEST("short writes, short reads and interruptions change nothing") {
  for (fault const kind : {fault::short_write, fault::interrupt}) {
    for (int point = 1;; ++point) {
      temporary_directory const folder;
      faulty_io::arm(kind, point);
      sample_state(5).save<faulty_io>(folder.path);
      auto const found = newest_valid<faulty_io>(folder.path);
      bool const clean = faulty_io::struck.empty() && faulty_io::calls < point;
      faulty_io::arm(fault::none, 0);
      DOCTEST_CAPTURE(point);
      REQUIRE(found.newest.has_value());
      EXPECT(sample_state(5).is(*found.newest));
      if (clean) break;
    }
  }
}

TEST("bytes that the system took and lost are noticed before the checkpoint counts") {
  int lost = 0;
  for (int point = 1;; ++point) {
    temporary_directory const folder;
    faulty_io::arm(fault::lost_write, point);
    std::string what;
    try {
      sample_state(5).save<faulty_io>(folder.path);
    } catch (io_error const& failure) {
      what = failure.what();
    }
    std::string const struck = faulty_io::struck;
    faulty_io::arm(fault::none, 0);
    if (struck.empty()) break;
    EXPECT_EQ(what.find("could not write all bytes of '") == 0, struck == "write");
    EXPECT_EQ(newest_valid(folder.path).newest.has_value(), struck != "write");
    lost += struck == "write" ? 1 : 0;
  }
  EXPECT(lost > 8);
}

TEST("a full device is an error that says so") {
  EXPECT_THROWS_WITH(
      [] {
        struct full_io : posix_io {
          static int open(char const*, int, mode_t) { return ::open("/dev/full", O_WRONLY); }
        };
        output_file<full_io> file("/some/where");
        file.write("x", 1);
      }(),
      "could not write to '/some/where': No space left on device; free some space");
}

TEST("every flipped bit is noticed, the file and tensor are named, and the checkpoint before is used") {
  temporary_directory const folder;
  sample_state(10).save<posix_io>(folder.path);
  auto const done = sample_state(20).save<posix_io>(folder.path);
  std::mt19937 random(3);
  auto const damaged_by = [&](std::string const& name, std::string const& bytes) {
    spill(done.directory / name, bytes);
    auto const found = newest_valid(folder.path);
    bool const fell_back = found.newest && found.newest->contents.step == 10 && found.damaged.size() == 1;
    return fell_back ? found.damaged[0] : std::string("NOT NOTICED");
  };
  for (std::string const name : {"manifest.json", "model.safetensors", "optimizer.safetensors", "tokenizer.json"}) {
    DOCTEST_CAPTURE(name);
    std::string const whole = slurp(done.directory / name);
    // The first bits and random ones; every bit of the smallest file. (Every bit of a manifest:
    // tests/checkpoint/manifest.cpp.)
    std::size_t const bits = whole.size() * 8;
    bool const all = name == "tokenizer.json";
    for (std::size_t i = 0, rounds = all ? bits : 1000; i < rounds; ++i) {
      std::size_t const bit = all ? i : i < 500 ? i : random() % bits;
      DOCTEST_CAPTURE(bit);
      std::string damaged = whole;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      auto const sentence = damaged_by(name, damaged);
      EXPECT(sentence.find("step_00000020' is damaged: " + name + ": ") != std::string::npos);
    }
    for (std::size_t size = 0; size < whole.size(); size += 512)
      EXPECT(damaged_by(name, whole.substr(0, size)).find(name) != std::string::npos);
    EXPECT(damaged_by(name, whole + "PK\3\4").find(name) != std::string::npos);
    spill(done.directory / name, whole);
  }
  REQUIRE(newest_valid(folder.path).newest->contents.step == 20);

  std::string const model = slurp(done.directory / "model.safetensors");
  std::string flipped = model;
  flipped[model.size() - 5] ^= 1;  // the last tensor by name is 'norm'
  EXPECT(damaged_by("model.safetensors", flipped).find("tensor 'norm' has changed") != std::string::npos);
  EXPECT(damaged_by("model.safetensors", slurp(root_of(folder.path) / "step_00000010" / "model.safetensors"))
             .find("tensor 'embedding', 'norm' has changed") != std::string::npos);
  spill(done.directory / "model.safetensors", model);
  std::filesystem::remove(done.directory / "optimizer.safetensors");
  EXPECT(newest_valid(folder.path).damaged.at(0).find("optimizer.safetensors") != std::string::npos);
  std::filesystem::remove(done.directory / "manifest.json");
  EXPECT(newest_valid(folder.path).damaged.at(0).find("No such file") != std::string::npos);
}

TEST("a manifest replayed from another step, a link and a directory instead of a file are noticed") {
  temporary_directory const folder;
  sample_state(10).save<posix_io>(folder.path);
  auto const root = root_of(folder.path);
  std::filesystem::copy(root / "step_00000010", root / "step_00000030");
  EXPECT(newest_valid(folder.path).damaged.at(0).find("it belongs to step 10") != std::string::npos);
  auto const model = sample_state(20).save<posix_io>(folder.path).directory / "model.safetensors";
  std::filesystem::remove_all(root / "step_00000030");
  std::filesystem::rename(model, folder.path / "elsewhere");
  std::filesystem::create_symlink(folder.path / "elsewhere", model);
  EXPECT_EQ(newest_valid(folder.path).damaged.size(), 1u);
  std::filesystem::remove(model);
  std::filesystem::create_directory(model);
  EXPECT(newest_valid(folder.path).damaged.at(0).find("Is a directory") != std::string::npos);
  EXPECT_EQ(newest_valid(folder.path).newest->contents.step, 10);
}

TEST("a checkpoint of another version of tenon stops the search instead of losing steps") {
  temporary_directory const folder;
  sample_state(10).save<posix_io>(folder.path);
  auto const newer = sample_state(20).save<posix_io>(folder.path).directory / "manifest.json";
  auto body = *checked_manifest_body(slurp(newer));
  body["schema"] = 2;
  spill(newer, nlohmann::json{{"body", body}, {"sha256", tenon::sha256::hex_of(body.dump())}}.dump(1) + "\n");
  EXPECT_THROWS_WITH(newest_valid(folder.path), "has schema 2 and this build reads 1");
}

TEST("misuse of a transaction is refused") {
  temporary_directory const folder;
  EXPECT_THROWS_WITH(transaction<>(folder.path, -1), "cannot be negative");
  for (std::string const name :
       {"", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden", "manifest.json", "a b", "a\n", "\xC3\xA9"}) {
    transaction<> t(folder.path, 1);
    EXPECT_THROWS_WITH(t.add_bytes(name, "x"), "cannot be the name of a file");
  }
  {
    transaction<> t(folder.path, 1);
    t.add_bytes("a", "x");
    EXPECT_THROWS_WITH(t.add_bytes("a", "y"), "already in this checkpoint");
    manifest m;
    m.step = 2;
    EXPECT_THROWS_WITH(t.commit(m), "of step 2 and its checkpoint of step 1");
  }
  {
    transaction<> t(folder.path, 1);
    EXPECT_THROWS_WITH(t.add_tensors("m.safetensors", {{"a", dtype::F32, {1}, nullptr}}), "has no data");
    manifest m;
    m.step = 1;
    EXPECT_THROWS_WITH(t.commit(m), "cannot be committed");
  }
  EXPECT(names_in(root_of(folder.path)).empty());
}
