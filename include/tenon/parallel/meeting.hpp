#pragma once
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <chrono>
#include <string>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/parallel/place.hpp"

/// The point where ranks meet: a small table of texts that one process keeps (LibTorch's TCPStore) and all reach.
namespace tenon::parallel {

/// LibTorch's words without the trace behind them.
inline std::string first_line(std::string text) {
  if (auto const cut = text.find('\n'); cut != text.npos) text.erase(cut);
  return text;
}

/// Opens the table, as its keeper or as one of those who come to it. Throws tenon::error where it is not reached in time.
inline c10::intrusive_ptr<c10d::Store> meet(place const& p, bool keeper, std::chrono::milliseconds limit) {
  c10d::TCPStoreOptions o;
  o.port = std::uint16_t(p.port), o.isServer = keeper, o.waitWorkers = false, o.multiTenant = true, o.timeout = limit;
  try {
    auto store = c10::make_intrusive<c10d::TCPStore>(p.host, o);
    return c10::make_intrusive<c10d::PrefixStore>("tenon/" + p.attempt, std::move(store));
  } catch (std::exception const& e) {
    throw error("rank " + std::to_string(p.rank) + " of " + std::to_string(p.size) + " could not " +
                (keeper ? "open" : "reach") + " the meeting point " + p.host + ":" + std::to_string(p.port) + " within " +
                std::to_string(limit.count() / 1000) + " s (" + first_line(e.what()) +
                "); is rank 0 running, and are MASTER_ADDR and MASTER_PORT right?");
  }
}

inline std::string get_text(c10d::Store& s, std::string const& key) {
  auto const bytes = s.get(key);
  return {bytes.begin(), bytes.end()};
}
inline void set_text(c10d::Store& s, std::string const& key, std::string const& text) {
  s.set(key, std::vector<std::uint8_t>(text.begin(), text.end()));
}

/// Why the ranks leave: the first to know says it, and it holds for all. `code` is the exit code to leave with.
struct verdict {
  int code = 0;
  std::string sentence;
};
inline std::string text_of(verdict const& v) { return std::to_string(v.code) + "\n" + v.sentence; }
inline verdict verdict_of(std::string const& text) {
  auto const cut = text.find('\n');
  return {std::atoi(text.c_str()), cut == text.npos ? text : text.substr(cut + 1)};
}
/// Says `v` unless another was said before; returns the one that holds.
inline verdict say_first(c10d::Store& s, verdict const& v) {
  return verdict_of(s.compareSet("verdict", "", text_of(v)));
}

}  // namespace tenon::parallel
