#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <memory>
#include <type_traits>

#include "tenon/parallel/backend.hpp"
#include "tenon/parallel/watch.hpp"

namespace tenon::parallel {

/// The run cannot go on with these ranks. `code` is the exit code that all of them leave with.
struct departure : error {
  explicit departure(verdict const& v) : error(v.sentence), code(v.code) {}
  int code;
};

/// The ranks of a run, as one of them sees them: who they are, and what they exchange. All ranks call the same
/// exchanges in the same order. A rank that is late is waited for; one that is lost is named, in an exception that every
/// other rank gets (`departure`), and after it nothing of this group can be used.
class group {
 public:
  /// Meets the others. Throws tenon::error naming the ranks that did not come within `patience`.
  group(place const& where, std::chrono::seconds patience) : place_(where), patience_(patience) {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    if (size() == 1) {
      hosts_.emplace_back(name.data()), pids_.push_back(::getpid());
      return;
    }
    auto const limit = std::chrono::milliseconds(patience_);
    store_ = meet(place_, place_.rank == 0 && !place_.hosted, limit);
    set_text(*store_, "place/" + std::to_string(place_.rank), std::to_string(::getpid()) + " " + name.data());
    std::vector<std::string> missing;
    auto const end = std::chrono::steady_clock::now() + limit;
    for (int r = 0; r < size(); ++r) {
      auto const key = "place/" + std::to_string(r);
      auto const left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      try {
        store_->wait({key}, std::max(left, std::chrono::milliseconds(1)));
        std::istringstream in(get_text(*store_, key));
        in >> pids_.emplace_back() >> hosts_.emplace_back();
      } catch (std::exception const&) {
        missing.push_back(std::to_string(r));
      }
    }
    if (!missing.empty()) {
      std::string list;
      for (auto const& m : missing) list += (list.empty() ? "" : ", ") + m;
      throw error("of " + std::to_string(size()) + " ranks these did not come within " + std::to_string(patience_.count()) +
                  " s: " + list + "; start all of them, or say how many there are with --ranks N");
    }
    watch_ = std::make_unique<watch>(place_, hosts_, pids_, patience_);
    backend_ = make_backend(store_, place_, patience_);
  }
  group(group const&) = delete;
  group& operator=(group const&) = delete;
  /// After a failure the threads of the backend wait for ranks that never answer: they are left to the process's end.
  ~group() {
    if (broken_) (void)backend_.release(), (void)watch_.release(), (void)store_.release();
  }

  place const& where() const { return place_; }
  int rank() const { return place_.rank; }
  int size() const { return place_.size; }
  bool leads() const { return place_.rank == 0; }
  std::string const& host_of(int r) const { return hosts_[std::size_t(r)]; }
  /// Ranks on this one's machine.
  int on_this_host() const {
    return int(std::count(hosts_.begin(), hosts_.end(), hosts_[std::size_t(place_.rank)]));
  }

  /// Everyone's `mine`, in the order of the ranks. `what` names it in a sentence about a rank that does not come.
  template <class T>
  std::vector<T> gather(T const& mine, std::string const& what) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<T> all(std::size_t(size()), mine);
    if (size() == 1) return all;
    auto in = bytes_of(const_cast<T*>(&mine), sizeof mine), out = bytes_of(all.data(), sizeof mine * all.size());
    wait(*attempt([&] { return gather_bytes(*backend_, out, in); }, what), what);
    return all;
  }
  /// Whether any rank says yes.
  bool any(bool mine) {
    for (auto const v : gather(std::int64_t(mine), "an agreement"))
      if (v != 0) return true;
    return false;
  }
  /// The same for texts of different length.
  std::vector<std::string> gather_text(std::string const& mine, std::string const& what) {
    auto const lengths = gather(std::int64_t(mine.size()), what);
    auto const most = *std::max_element(lengths.begin(), lengths.end());
    std::vector<std::string> texts;
    if (size() == 1) return {mine};
    std::string all(std::size_t(size() * std::max<std::int64_t>(1, most)), '\0');
    std::string padded = mine;
    padded.resize(std::size_t(std::max<std::int64_t>(1, most)));
    auto in = bytes_of(padded.data(), padded.size()), out = bytes_of(all.data(), all.size());
    wait(*attempt([&] { return gather_bytes(*backend_, out, in); }, what), what);
    for (int r = 0; r < size(); ++r) texts.push_back(all.substr(std::size_t(r) * padded.size(), std::size_t(lengths[std::size_t(r)])));
    return texts;
  }
  /// The leader's bytes, into everyone's.
  void broadcast(void* data, std::size_t bytes, std::string const& what) {
    if (size() == 1 || bytes == 0) return;
    auto t = bytes_of(data, bytes);
    wait(*attempt([&] { return send_from_leader(*backend_, t); }, what), what);
  }
  std::string broadcast_text(std::string text, std::string const& what) {
    auto length = std::int64_t(text.size());
    broadcast(&length, sizeof length, what);
    text.resize(std::size_t(length));
    broadcast(text.data(), text.size(), what);
    return text;
  }
  /// Begins to add `t` over the ranks, in place; the caller keeps it alive and waits.
  c10::intrusive_ptr<c10d::Work> start_sum(at::Tensor& t) {
    watch_->advance();
    return sum_over_ranks(*backend_, t);
  }

  /// Waits for an exchange. Throws departure when a rank is lost, or when another rank has said why all leave.
  void wait(c10d::Work& work, std::string const& what) {
    auto const since = watch::clock::now();
    std::string broken;
    for (;;) {
      if (broken.empty()) {
        try {
          work.wait(std::chrono::milliseconds(250));
          return;
        } catch (std::exception const& e) {  // too long, or a connection broke
          if (work.isCompleted() && work.isSuccess()) return;
          if (work.isCompleted()) broken = first_line(e.what());
        }
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
      if (auto const v = watch_->examine(since, what, broken)) leave(*v);
    }
  }
  /// A connection is known to be broken: finds out who is lost, and throws.
  [[noreturn]] void give_up(std::string const& broken, std::string const& what) {
    for (auto const since = watch::clock::now();; std::this_thread::sleep_for(std::chrono::milliseconds(50)))
      if (auto const v = watch_->examine(since, what, broken.empty() ? "lost" : broken)) leave(*v);
  }

  /// For whoever waits by other means than this group (a GPU), from any thread: this rank has come further; who keeps it
  /// waiting since `since`, or why all leave, if that is known yet; and that it is said to all, without leaving.
  void came_further() { watch_->advance(); }
  std::optional<verdict> examine(watch::clock::time_point since, std::string const& what, std::string const& broken) {
    return watch_->examine(since, what, broken);
  }
  verdict say(verdict const& v) { return watch_->announce(v); }
  /// Says to all why they leave, and throws departure.
  [[noreturn]] void leave(verdict const& v) {
    broken_ = true;
    auto const said = watch_->announce(v);
    // Who keeps the meeting point stays a moment, until the others have read there why.
    if (leads() && !place_.hosted) std::this_thread::sleep_for(std::chrono::seconds(2));
    throw departure(said);
  }

  /// Says to all why this rank leaves, unless another said something before; returns what holds.
  verdict announce(verdict const& v) {
    broken_ = true;
    return watch_ ? watch_->announce(v) : v;
  }
  /// While this lives, the others wait for this rank as long as it takes: it does something that they do not.
  class busy {
   public:
    explicit busy(group& g) : watch_(g.watch_.get()) {
      if (watch_ != nullptr) watch_->busy(true);
    }
    busy(busy const&) = delete;
    busy& operator=(busy const&) = delete;
    ~busy() {
      if (watch_ != nullptr) watch_->busy(false);
    }

   private:
    watch* watch_;
  };

 private:
  static at::Tensor bytes_of(void* data, std::size_t bytes) {
    return at::from_blob(data, {std::int64_t(bytes)}, at::kByte);
  }
  template <class F>
  c10::intrusive_ptr<c10d::Work> attempt(F f, std::string const& what) {
    watch_->advance();
    try {
      return f();
    } catch (std::exception const& e) {
      give_up(first_line(e.what()), what);
    }
  }

  place place_;
  std::chrono::seconds patience_;
  c10::intrusive_ptr<c10d::Store> store_;
  std::vector<std::string> hosts_;
  std::vector<int> pids_;
  std::unique_ptr<watch> watch_;
  c10::intrusive_ptr<c10d::Backend> backend_;
  bool broken_ = false;
};

}  // namespace tenon::parallel
