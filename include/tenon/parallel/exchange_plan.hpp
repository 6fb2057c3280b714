#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tenon/recipe/parallel.hpp"

namespace tenon::parallel {

/// What the exchange of gradients needs, known before the start. Torch-free and constant.
struct exchange_plan {
  std::int64_t bytes = 0;  ///< that each rank hands out, and takes in, in a step: 2 (n - 1) / n of the gradient on the wire
                           ///< (a ring: Patarasuk and Yuan 2009)
  int buckets = 0;
  double seconds = 0;  ///< of all buckets, one after the other, at the link's rate; 0 where it is not known
  double exposed = 0;  ///< of them, after the backward pass has ended
  constexpr double hidden() const { return seconds > 0 ? 1 - exposed / seconds : 0; }
};

/// The plan for groups of parameters in their order of readiness: head first, embedding last (buckets.hpp).
/// `backward_seconds`: of the last micro-batch's backward pass, which is parted among the groups like their parameters (each
/// costs four operations a token); `link`: GB/s in one direction, 0 where it is not known. Buckets leave one after the
/// other.
template <class Places>
constexpr exchange_plan plan_exchange(Places const& places, replicas const& n, int wire_bytes, double backward_seconds,
                                      double link) {
  exchange_plan p;
  if (n.ranks <= 1) return p;
  int const last = int(places.size()) - 1;
  auto const size = [&](int group) { return places[std::size_t(group)].last - places[std::size_t(group)].first; };
  // A tied head has no projection of its own, and does the embedding's work.
  auto const work = [&](int group) {
    return group == last ? 0.0 : double(group == 0 ? std::max(size(0), size(last)) : size(group));
  };
  double all_work = 0, done = 0, line_free = 0;
  for (int group = 0; group <= last; ++group) all_work += work(group);
  std::int64_t open = 0;
  for (int group = 0; group <= last; ++group) {
    done += work(group);
    open += size(group) * wire_bytes;
    if (open < n.bucket.count && group != last) continue;
    std::int64_t const moved = open / n.ranks * 2 * (n.ranks - 1);
    p.bytes += moved, ++p.buckets;
    if (link > 0) {
      double const takes = double(moved) / (link * 1e9);
      p.seconds += takes;
      line_free = std::max(line_free, done / all_work * backward_seconds) + takes;
    }
    open = 0;
  }
  p.exposed = std::clamp(line_free - backward_seconds, 0.0, p.seconds);
  return p;
}

}  // namespace tenon::parallel
