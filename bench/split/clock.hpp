#pragma once
#include <array>
#include <chrono>
#include <cstdint>

/// Where a member's time goes. At any moment a member is in one category; entering another puts the first one on hold.
namespace split {

enum category : int { gemm, attention, elementwise, loss, optimizer, waiting, rest, num_categories };
inline constexpr std::array<char const*, num_categories> names{"GEMM", "attention", "elementwise", "loss", "optimizer", "waiting", "rest"};

class ledger {
 public:
  using clock = std::chrono::steady_clock;
  /// Ends what the member was in; returns it.
  category enter(category next) {
    auto const now = clock::now();
    seconds[now_in_] += std::chrono::duration<double>(now - since_).count();
    since_ = now;
    auto const before = now_in_;
    now_in_ = next;
    return before;
  }
  /// Time between regions belongs to none.
  void begin() { since_ = clock::now(), now_in_ = rest; }
  void end() { enter(rest); }

  std::array<double, num_categories> seconds{};

 private:
  clock::time_point since_ = clock::now();
  category now_in_ = rest;
};

/// This thread's; a member of the team is a thread.
inline thread_local ledger* mine = nullptr;

struct in {
  explicit in(category c) : before_(mine != nullptr ? mine->enter(c) : rest) {}
  ~in() {
    if (mine != nullptr) mine->enter(before_);
  }
  in(in const&) = delete;
  in& operator=(in const&) = delete;

 private:
  category before_;
};

}  // namespace split
