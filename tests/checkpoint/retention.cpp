#include "tenon/checkpoint/retention.hpp"

#include "checkpoint/faulty_io.hpp"
#include "observe/python.hpp"
#include "support/test.hpp"

using namespace tenon::checkpoint;
using tenon_test::sample_state;
using tenon_test::spill;
using tenon_test::temporary_directory;

namespace {
std::vector<std::int64_t> steps_in(path const& run) {
  std::vector<std::int64_t> steps;
  for (auto const& where : list_checkpoints(run)) steps.push_back(where.step);
  return steps;
}
}  // namespace

TEST("step names sort, grow past eight digits and are read back strictly") {
  EXPECT_EQ(step_name(1000), "step_00001000");
  EXPECT_EQ(step_name(123456789), "step_123456789");
  EXPECT(step_of("step_00001000") == 1000);
  EXPECT(step_of("step_123456789") == 123456789);
  for (char const* const bad : {"step_1000", "step_0123456789", "step_", "step_-0000001", "step_0000100x", "latest",
                                "stop_00001000", "step_99999999999999999999"})
    EXPECT(!step_of(bad));
}

TEST("pruning keeps the newest, once it has been read back") {
  temporary_directory const folder;
  for (int step : {10, 20, 30, 40, 50}) sample_state(step).save<posix_io>(folder.path);
  EXPECT_THROWS_WITH(prune_checkpoints(folder.path, 0), "at least 1");
  auto const pruned = prune_checkpoints(folder.path, 3);
  EXPECT_EQ(pruned.removed.size(), 2u);
  EXPECT(pruned.damaged.empty());
  EXPECT(steps_in(folder.path) == std::vector<std::int64_t>{50, 40, 30});
  EXPECT(prune_checkpoints(folder.path, 5).removed.empty());

  spill(root_of(folder.path) / "step_00000050" / "model.safetensors", "no");
  auto const careful = prune_checkpoints(folder.path, 1);
  EXPECT_EQ(careful.damaged.size(), 1u);
  EXPECT(steps_in(folder.path) == std::vector<std::int64_t>{50, 40});  // 40 is the newest that verifies

  spill(root_of(folder.path) / "step_00000040" / "model.safetensors", "no");
  auto const none = prune_checkpoints(folder.path, 1);
  EXPECT_EQ(none.damaged.size(), 2u);
  EXPECT(none.removed.empty());
  EXPECT(steps_in(folder.path) == std::vector<std::int64_t>{50, 40});
}

TEST("what dead writers left is cleaned, and nothing else") {
  temporary_directory const folder;
  EXPECT(clean_checkpoints(folder.path).empty());
  sample_state(10).save<posix_io>(folder.path);
  auto const root = root_of(folder.path);
  std::filesystem::create_directories(root / ".tmp-step_00000020-99-0" / "inner");
  spill(root / ".tmp-step_00000020-99-0" / "model.safetensors", "half");
  std::filesystem::create_directories(root / ".trash-step_00000005");
  std::filesystem::create_symlink("/nonexistent", root / ".tmp-latest");
  spill(root / "notes.txt", "mine");
  EXPECT_EQ(clean_checkpoints(folder.path).size(), 3u);
  EXPECT(std::filesystem::exists(root / "notes.txt"));
  EXPECT(steps_in(folder.path) == std::vector<std::int64_t>{10});
  EXPECT(clean_checkpoints(folder.path).empty());
}

TEST("a replacement cut short is settled for whichever checkpoint is whole") {
  temporary_directory const folder;
  auto const root = root_of(folder.path);
  sample_state(20).save<posix_io>(folder.path);
  auto const aside = root / ".replaced-step_00000020", place = root / "step_00000020";
  SUBCASE("only the old one is there") { std::filesystem::rename(place, aside); }
  SUBCASE("the new one is damaged") {
    std::filesystem::copy(place, aside);
    spill(place / "manifest.json", "{}");
  }
  SUBCASE("the old one is damaged") {
    std::filesystem::copy(place, aside);
    spill(aside / "manifest.json", "{}");
  }
  REQUIRE(newest_valid(folder.path).newest.has_value());
  EXPECT_EQ(clean_checkpoints(folder.path).size(), 1u);
  auto const found = newest_valid(folder.path);
  REQUIRE(found.newest.has_value());
  EXPECT_EQ(found.newest->directory, place);
  EXPECT(sample_state(20).is(*found.newest));
  EXPECT(!std::filesystem::exists(aside));
}
