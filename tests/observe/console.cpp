#include "tenon/observe/console.hpp"

#include <algorithm>

#include "observe/python.hpp"
#include "support/test.hpp"

using namespace tenon::observe;

namespace {

struct hand_clock {
  using duration = std::chrono::milliseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<hand_clock>;
  static inline std::int64_t milliseconds = 0;
  static time_point now() { return time_point(duration(milliseconds)); }
};

step_record step(std::int64_t number) {
  step_record r;
  r.step = number;
  r.total_steps = 8000;
  r.loss = 3.214;
  r.learning_rate = 2.98e-4;
  r.gradient_norm = 0.834;
  r.tokens_per_second = 41'230;
  r.share_of_peak = 0.618;
  r.seconds_left = 724;
  return r;
}

// What a console prints while `use` feeds it.
template <class Use>
std::string printed(bool terminal, Use use, std::int64_t log_every = 10) {
  tenon_test::temporary_directory const folder;
  std::FILE* const stream = std::fopen((folder.path / "out").c_str(), "w");
  REQUIRE(stream != nullptr);
  {
    console<hand_clock> screen(stream, {log_every, terminal});
    use(screen);
  }
  std::fclose(stream);
  return tenon_test::slurp(folder.path / "out");
}

std::size_t count(std::string const& text, char c) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), c));
}

}  // namespace

TEST("the lines read as documented") {
  EXPECT_EQ(step_line(step(1240)),
            "step 1,240/8,000 15%  loss 3.2140  lr 2.98e-04  norm 0.83  41.2k tokens/s  62% of peak  12 min 04 s left");
  auto overflow = step(1);
  overflow.loss_scale = 65536;
  overflow.skipped = true;
  overflow.share_of_peak.reset();
  overflow.seconds_left.reset();
  EXPECT_EQ(step_line(overflow),
            "step 1/8,000 0%  loss 3.2140  lr 2.98e-04  norm 0.83  scale 65.5k (skipped: overflow)  41.2k tokens/s");
  auto experts = overflow;
  experts.loss_scale.reset();
  experts.skipped = false;
  experts.mtp_loss = 4.51, experts.balance_loss = 1.234e-4, experts.expert_load = 1.5;
  EXPECT_EQ(step_line(experts),
            "step 1/8,000 0%  loss 3.2140  lr 2.98e-04  norm 0.83  mtp 4.5100  balance 1.23e-04  load 1.50  41.2k "
            "tokens/s");
  EXPECT_EQ(evaluation_line({500, 9, 3.10234, 1.62, 4.8121, 2.21, 1.2}),
            "step 500: held-out loss 3.1023, 1.620 bits/byte (unigram 4.812, trigram 2.210) in 1.2 s");
  EXPECT_EQ(evaluation_line({500, 9, 3.10234, {}, {}, {}, 0}), "step 500: held-out loss 3.1023");
}

TEST("without a terminal: plain lines every log_every steps, or two seconds after the last") {
  hand_clock::milliseconds = 0;
  auto const fast = printed(false, [](auto& screen) {
    for (int i = 1; i <= 25; ++i) hand_clock::milliseconds += 10, screen.on_step(step(i));
    screen.on_step(step(8000));
  });
  EXPECT(fast.find("step 1/") == 0);
  EXPECT(fast.find("\nstep 11/") != std::string::npos);
  EXPECT(fast.find("\nstep 21/") != std::string::npos);
  EXPECT(fast.find("\nstep 8,000/8,000 100%") != std::string::npos);
  EXPECT_EQ(count(fast, '\n'), 4u);
  EXPECT(fast.find_first_of("\r\x1b") == std::string::npos);
  auto const slow = printed(
      false,
      [](auto& screen) {
        for (int i = 1; i <= 5; ++i) hand_clock::milliseconds += 1000, screen.on_step(step(i));
      },
      1000);
  EXPECT_EQ(count(slow, '\n'), 3u);  // steps 1, 3, 5
}

TEST("on a terminal: one line, redrawn at most ten times a second, never wider than the terminal") {
  auto const text = printed(true, [](auto& screen) {
    for (int i = 1; i <= 200; ++i) hand_clock::milliseconds += 10, screen.on_step(step(i));
  });
  EXPECT(count(text, '\r') <= 22u);
  EXPECT(count(text, '\r') >= 18u);
  EXPECT_EQ(count(text, '\n'), 1u);
  EXPECT(text.find("step 200/") != std::string::npos);  // the newest numbers are not lost
  std::size_t const first = text.find('\r'), second = text.find('\r', first + 1);
  EXPECT_EQ(second - first - 1, 79u + std::string("\x1b[K").size());
}

TEST("other lines do not run into the progress line, and text cannot steer the terminal") {
  auto const text = printed(true, [](auto& screen) {
    screen.on_step(step(1));
    screen.on_evaluation({1, 9, 3.0, {}, {}, {}, 0});
    screen.on_text({1, "sample", "\x1b[2Jint\tmain\xC2\x9B\xFF", {}});
    screen.on_text({1, "", "low on disk", text_record::severity::warning});
  });
  EXPECT(text.find("\x1b[K\nstep 1: held-out loss 3.0000\n?[2Jint\tmain??\xEF\xBF\xBD\nwarning: low on disk\n") !=
         std::string::npos);
}

TEST("what goes on between two steps is told: a passing line on a terminal, elsewhere one after two seconds and each ten") {
  auto const wait_for = [](auto& screen, int seconds) {
    for (int i = 0; i < 20 * seconds; ++i)
      hand_clock::milliseconds += 50, screen.on_wait([&] { return "evaluating: " + std::to_string(i / 20) + " s"; });
  };
  auto const plain = printed(false, [&](auto& screen) {
    screen.on_step(step(1));
    wait_for(screen, 1);  // too short to be told
    screen.on_evaluation({1, 9, 3.0, {}, {}, {}, 0});
    wait_for(screen, 25);
    screen.on_evaluation({2, 9, 3.0, {}, {}, {}, 0});
  });
  EXPECT_EQ(count(plain, '\n'), 6u);
  EXPECT(plain.find("3.0000\nevaluating: 2 s\nevaluating: 12 s\nevaluating: 22 s\nstep 2: held-out") != std::string::npos);
  auto const lively = printed(true, [&](auto& screen) {
    screen.on_step(step(1));
    wait_for(screen, 3);
    screen.on_step(step(2));
  });
  EXPECT(lively.find("evaluating: 2 s\x1b[K\r\x1b[K\rstep 2/") != std::string::npos);
  EXPECT_EQ(count(lively, '\n'), 2u);
  EXPECT(count(lively, '\r') <= 34u);
}
