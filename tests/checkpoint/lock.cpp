#include "tenon/checkpoint/lock.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "observe/python.hpp"
#include "support/test.hpp"

using namespace tenon::checkpoint;
using tenon_test::slurp;
using tenon_test::spill;
using tenon_test::temporary_directory;

TEST("a run directory has one writer, and the second is told who it is") {
  temporary_directory const folder;
  path const run = folder.path / "a" / "run";
  {
    run_lock const held(run);
    EXPECT_THROWS_WITH(run_lock(run),
                       "is being written by another process (pid " + std::to_string(::getpid()) + " on ");
    EXPECT_THROWS_WITH(run_lock(run), "choose another directory with --run");
  }
  EXPECT_EQ(slurp(run / "lock"), "");
  run_lock first(run);
  run_lock const moved(std::move(first));
  EXPECT_THROWS_WITH(run_lock(run), "another process");
}

TEST("another process holds it until it dies, however it dies") {
  temporary_directory const folder;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  pid_t const child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    run_lock const held(folder.path);
    (void)!::write(ready[1], "x", 1);
    for (;;) ::pause();
  }
  char byte;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  EXPECT_THROWS_WITH(run_lock(folder.path), "(pid " + std::to_string(child) + " on ");
  ::kill(child, SIGKILL);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  EXPECT(slurp(folder.path / "lock").find(std::to_string(child)) != std::string::npos);  // stale, and no obstacle
  run_lock const mine(folder.path);
  EXPECT(slurp(folder.path / "lock").find("pid " + std::to_string(::getpid())) == 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST("a directory that cannot be locked is a sentence") {
  temporary_directory const folder;
  spill(folder.path / "file", "");
  EXPECT_THROWS_WITH(run_lock(folder.path / "file"), "could not");
  std::filesystem::create_symlink("/etc/hostname", folder.path / "lock");
  EXPECT_THROWS_WITH(run_lock(folder.path), "could not open");
}
