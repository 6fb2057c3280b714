#pragma once
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <optional>
#include <sstream>
#include <thread>

#include "tenon/parallel/meeting.hpp"

namespace tenon::parallel {

/// What a process on this machine is doing, from /proc.
enum class process_state { alive, stopped, gone };
inline process_state state_of(int pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(in, line)) return process_state::gone;
  auto const name_end = line.rfind(')');
  char const letter = name_end == line.npos || name_end + 2 >= line.size() ? '?' : line[name_end + 2];
  if (letter == 'Z' || letter == 'X' || letter == 'x') return process_state::gone;
  return letter == 'T' || letter == 't' ? process_state::stopped : process_state::alive;
}

/// Finds out which rank is missing when the others wait for it.
///
/// A thread of its own gives a sign of life twice a second, with how far this rank is; while somebody waits too long it
/// also reads those of the others. Nobody else ever talks to the meeting point after the start, so that one that hangs
/// hangs nobody. On the same machine /proc tells at once who is gone. Not used while all goes well.
class watch {
 public:
  using clock = std::chrono::steady_clock;

  watch(place const& where, std::vector<std::string> const& hosts, std::vector<int> const& pids, std::chrono::seconds patience)
      : place_(where), hosts_(hosts), pids_(pids), patience_(patience), others_(std::size_t(where.size)) {
    store_ = meet(where, false, std::chrono::seconds(30));
    set_text(*store_, beat_key(place_.rank), "0 0 0");
    thread_ = std::thread([this] { work(); });
  }
  /// The thread may hang in a meeting point that hangs; then the process ends without it.
  ~watch() {
    {
      std::lock_guard const lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  /// This rank begins its next exchange.
  void advance() { progress_.fetch_add(1, std::memory_order_relaxed); }
  /// While busy with something that the others do not do (saving, evaluating), this rank may take as long as it likes.
  void busy(bool on) { busy_.store(on, std::memory_order_relaxed); }

  /// Asked now and then by a rank that waits since `since`; `broken`: a connection is gone already. A verdict, or nothing
  /// yet.
  std::optional<verdict> examine(clock::time_point since, std::string const& what, std::string const& broken) {
    std::unique_lock lock(mutex_);
    asked_ = true;
    changed_.notify_all();
    auto const now = clock::now();
    if (verdict_) return verdict_;
    if (!broken.empty() && broken_since_ == clock::time_point{}) broken_since_ = now;
    bool const cut_off = now - contact_ > std::chrono::seconds(3);
    for (int r = 0; r < place_.size; ++r) {
      auto& o = others_[std::size_t(r)];
      if (!here(r) || state_of(pids_[std::size_t(r)]) != process_state::gone) continue;
      // A rank that left in order has said why; two more readings make sure that we have heard it.
      if (o.gone_at_reading < 0) o.gone_at_reading = readings_;
      if (readings_ >= o.gone_at_reading + 2 || cut_off)
        return lost(r, "has ended (process " + std::to_string(pids_[std::size_t(r)]) + " is gone)");
    }
    if (!broken.empty()) {  // who is silent? A sign of life comes twice a second
      auto const oldest = silent_longest();
      if (now - broken_since_ > std::chrono::seconds(6) && oldest >= 0 &&
          now - others_[std::size_t(oldest)].changed > std::chrono::seconds(4))
        return lost(oldest, "does not answer any more");
      if (now - broken_since_ > std::chrono::seconds(6) && cut_off && !place_.hosted && place_.rank != 0)
        return lost(0, "does not answer any more, nor does the meeting point that it keeps");
      if (now - broken_since_ > std::chrono::seconds(15))
        return verdict{rank_lost, "a connection between the ranks broke (" + broken +
                                      "), and all of them still give signs of life; is the network in order?"};
      return std::nullopt;
    }
    if (now - since < patience_) return std::nullopt;
    std::string const waited = std::to_string(patience_.count()) + " s";
    for (int r = 0; r < place_.size; ++r)
      if (here(r) && state_of(pids_[std::size_t(r)]) == process_state::stopped)
        return lost(r, "is stopped (process " + std::to_string(pids_[std::size_t(r)]) + ") and has not answered for " + waited);
    if (now - contact_ > patience_)
      return verdict{rank_lost, "the meeting point " + place_.host + ":" + std::to_string(place_.port) +
                                    " has not answered for " + waited + (place_.hosted ? "" : "; rank 0 keeps it")};
    if (cut_off) return std::nullopt;
    auto const oldest = silent_longest();
    if (oldest >= 0 && now - others_[std::size_t(oldest)].changed > patience_)
      return lost(oldest, "has given no sign of life for " + waited);
    int behind = -1;
    for (int r = 0; r < place_.size; ++r) {
      auto const& o = others_[std::size_t(r)];
      if (r == place_.rank) continue;
      if (o.busy || now - o.changed > std::chrono::seconds(4)) return std::nullopt;
      if (o.progress < progress_.load(std::memory_order_relaxed) && (behind < 0 || o.progress < others_[std::size_t(behind)].progress)) behind = r;
    }
    if (behind >= 0 && now - others_[std::size_t(behind)].moved > patience_)
      return lost(behind, "is alive and has not come to " + what + " for " + waited);
    return std::nullopt;
  }

  /// Tells the others why this rank leaves, and waits a moment until it is said. Returns the verdict that holds.
  verdict announce(verdict const& v) {
    std::unique_lock lock(mutex_);
    if (verdict_) return *verdict_;
    mine_ = v, asked_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::seconds(3), [&] { return verdict_.has_value(); });
    return verdict_ ? *verdict_ : v;
  }

  static constexpr int rank_lost = 4;  ///< the exit code; app::exit_code has it, too

 private:
  struct other {
    std::string beat;
    clock::time_point changed = clock::now();  ///< last new sign of life
    clock::time_point moved = clock::now();    ///< last progress
    std::int64_t progress = 0;
    bool busy = false;
    std::int64_t gone_at_reading = -1;
  };

  static std::string beat_key(int r) { return "beat/" + std::to_string(r); }
  bool here(int r) const {
    return r != place_.rank && hosts_[std::size_t(r)] == hosts_[std::size_t(place_.rank)] && pids_[std::size_t(r)] != ::getpid();
  }
  verdict lost(int r, std::string const& how) const {
    return {rank_lost, "rank " + std::to_string(r) + " on " + hosts_[std::size_t(r)] + " " + how};
  }
  int silent_longest() const {
    int oldest = -1;
    for (int r = 0; r < place_.size; ++r)
      if (r != place_.rank && (oldest < 0 || others_[std::size_t(r)].changed < others_[std::size_t(oldest)].changed)) oldest = r;
    return oldest;
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (std::int64_t beat = 1; !stop_; ++beat) {
      bool const reads = asked_;
      auto const mine = mine_;
      asked_ = false;
      std::string const sign = std::to_string(beat) + " " + std::to_string(progress_.load(std::memory_order_relaxed)) + " " +
                               (busy_.load(std::memory_order_relaxed) ? "1" : "0");
      lock.unlock();
      std::vector<std::string> signs;
      std::optional<verdict> said;
      bool reached = true;
      try {
        set_text(*store_, beat_key(place_.rank), sign);
        if (mine) said = say_first(*store_, *mine);
        if (reads) {
          if (!said && store_->check({"verdict"})) said = verdict_of(get_text(*store_, "verdict"));
          for (int r = 0; r < place_.size; ++r) signs.push_back(get_text(*store_, beat_key(r)));
        }
      } catch (std::exception const&) {
        reached = false;
      }
      lock.lock();
      auto const now = clock::now();
      if (reached) contact_ = now;
      if (said) verdict_ = said, mine_.reset();
      if (signs.size() == others_.size()) {
        // The first reading after a quiet time knows nothing of how long the others have been silent.
        bool const afresh = now - read_ > std::chrono::seconds(2);
        for (std::size_t r = 0; r < signs.size(); ++r) note(others_[r], signs[r], now, afresh);
        read_ = now, ++readings_;
      }
      changed_.notify_all();
      changed_.wait_for(lock, std::chrono::milliseconds(reads ? 100 : 500), [&] { return stop_ || (!reads && asked_); });
    }
  }
  static void note(other& o, std::string const& sign, clock::time_point now, bool afresh) {
    std::istringstream in(sign);
    std::int64_t beat = 0, progress = 0;
    int busy = 0;
    in >> beat >> progress >> busy;
    if (sign != o.beat || afresh) o.changed = now;
    if (progress != o.progress || busy != 0 || afresh) o.moved = now;
    o.beat = sign, o.progress = progress, o.busy = busy != 0;
  }

  place place_;
  std::vector<std::string> hosts_;
  std::vector<int> pids_;
  std::chrono::seconds patience_;
  c10::intrusive_ptr<c10d::Store> store_;
  std::atomic<std::int64_t> progress_{0};
  std::atomic<bool> busy_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false, asked_ = false;
  std::optional<verdict> mine_, verdict_;
  std::vector<other> others_;
  std::int64_t readings_ = 0;
  clock::time_point contact_ = clock::now(), read_{}, broken_since_{};
  std::thread thread_;
};

}  // namespace tenon::parallel
