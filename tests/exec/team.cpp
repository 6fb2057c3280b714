#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "support/child.hpp"
#include "support/test.hpp"
#include "tenon/core/error.hpp"
#include "tenon/exec/cpu/executor.hpp"

using namespace tenon;
using executor = exec::cpu::executor<float>;

TEST("a barrier lets nobody through before everybody has come") {
  for (int members = 1; members <= 4; ++members) {
    exec::cpu::team team(members);
    REQUIRE(team.size() == members);
    struct alignas(64) counter {
      int value = 0;  // no atomic: the barrier must order it
    };
    std::vector<counter> counters(std::size_t(members) + 0);
    std::atomic<int> wrong = 0;
    auto region = [&](int member) {
      for (int round = 1; round <= 400; ++round) {
        counters[std::size_t(member)].value = round;
        team.barrier();
        for (auto const& c : counters) wrong += c.value != round;
        team.barrier();
      }
    };
    team.run(region);
    EXPECT_EQ(wrong.load(), 0);
  }
}

TEST("regions follow one another: each member runs each region once, and its results are seen afterwards") {
  for (int members = 1; members <= 4; ++members) {
    exec::cpu::team team(members);
    std::vector<std::int64_t> sums(std::size_t(members) * 16, 0);
    for (int i = 0; i < 600; ++i) {
      auto region = [&](int member) { sums[std::size_t(member) * 16] += i; };
      team.run(region);
      if (i == 200) std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the others fall asleep
    }
    for (int m = 0; m < members; ++m) EXPECT_EQ(sums[std::size_t(m) * 16], 599 * 600 / 2);
  }
}

TEST("a region has as many members as the team was limited to, whatever the regions before it had") {
  for (int threads = 1; threads <= 5; ++threads) {
    exec::cpu::team team(threads);
    REQUIRE(team.threads() == threads);
    std::vector<std::int64_t> ran(std::size_t(threads) * 16, 0), expected(ran.size(), 0);
    std::atomic<int> wrong = 0;
    std::uint32_t draw = 7;
    for (int i = 0; i < 3000; ++i) {
      draw = draw * 1664525u + 1013904223u;
      int const members = i % 3 == 0 ? team.size() : 1 + int(draw >> 16) % threads;
      team.limit(members);
      auto region = [&](int member) {
        wrong += member >= members || team.size() != members;
        ++ran[std::size_t(member) * 16];
        team.barrier();
        ++ran[std::size_t(member) * 16 + 1];
      };
      team.run(region);
      for (int m = 0; m < members; ++m) ++expected[std::size_t(m) * 16], ++expected[std::size_t(m) * 16 + 1];
      if (ran != expected) ++wrong;
      if (i % 1000 == 500) std::this_thread::sleep_for(std::chrono::milliseconds(10));  // the others fall asleep
    }
    EXPECT_EQ(wrong.load(), 0);
  }
}

TEST("a team of no members is one of one") {
  exec::cpu::team team(0);
  EXPECT_EQ(team.size(), 1);
}

TEST("teams live beside each other") {
  exec::cpu::team outer(2), inner(3);
  std::atomic<int> count = 0;
  auto region = [&](int) {
    executor x(outer, 0, nullptr, nullptr);
    ++count;
  };
  auto other = [&](int) { ++count; };
  outer.run(region);
  inner.run(other);
  outer.run(region);
  EXPECT_EQ(count.load(), 7);
}

TEST("serial runs on the caller's thread while the others wait") {
  exec::cpu::team team(3);
  auto const caller = std::this_thread::get_id();
  int outside = 0, wrong = 0;  // no atomics: serial must order them
  std::atomic<int> running = 0;
  auto region = [&](int member) {
    executor x(team, member, nullptr, nullptr);
    for (int i = 0; i < 100; ++i) {
      ++running;
      x.barrier();
      --running;
      x.serial([&] {
        wrong += std::this_thread::get_id() != caller || running.load() != 0;
        ++outside;
      });
      wrong += member == 1 && outside != i + 1;
      x.barrier();
    }
  };
  team.run(region);
  EXPECT_EQ(outside, 100);
  EXPECT_EQ(wrong, 0);
}

TEST("an exception in serial comes out of run, and the team works on") {
  for (int members = 1; members <= 4; ++members) {
    exec::cpu::team team(members);
    std::atomic<int> reached = 0;
    for (int i = 0; i < 10; ++i) {
      auto region = [&](int member) {
        executor x(team, member, nullptr, nullptr);
        x.serial([] { throw error("the first"); });
        x.serial([] { throw error("the second"); });
        ++reached;
      };
      EXPECT_THROWS_WITH(team.run(region), "the first");
      auto good = [&](int member) {
        executor x(team, member, nullptr, nullptr);
        x.serial([&] { ++reached; });
      };
      team.run(good);  // nothing is left over
    }
    EXPECT_EQ(reached.load(), 10 * members + 10);
  }
}

TEST("an exception outside of serial ends the program with its sentence, whoever throws") {
  auto const said = std::filesystem::temp_directory_path() / ("tenon-team-" + std::to_string(::getpid()));
  for (int thrower : {0, 1}) {
    child c([&](int, char const* const*) {
      exec::cpu::team team(2);
      auto region = [&](int member) {
        if (member == thrower) throw error("a member threw");
        team.barrier();
      };
      try {
        team.run(region);
      } catch (...) {
      }
      return 0;
    }, {}, said);
    EXPECT_EQ(c.wait(), 1000 + SIGABRT);
    std::ifstream in(said);
    std::stringstream text;
    text << in.rdbuf();
    EXPECT(text.str().find("a member threw") != std::string::npos);
  }
  std::filesystem::remove(said);
}

TEST("members divide any number of items without gap or overlap") {
  for (int members = 1; members <= 4; ++members) {
    exec::cpu::team team(members);
    for (std::int64_t grain : {1, 16})
      for (std::int64_t n = 0; n < 100; ++n) {
        std::int64_t next = 0;
        for (int m = 0; m < members; ++m) {
          auto const part = executor(team, m, nullptr, nullptr).part(n, grain);
          REQUIRE(part.first == next);
          REQUIRE(part.size() >= 0);
          REQUIRE((part.first % grain == 0 || part.first == n));
          next = part.last;
        }
        REQUIRE(next == n);
      }
  }
}
