#pragma once
#include <compare>
#include <cstdint>

namespace tenon::data {

/// Where a run stands in its data; the whole state of the loader. The same for any number of ranks: it names the next
/// sample of the one global order, and rank r of n takes its part of the samples from there.
struct cursor {
  std::int64_t stage = 0;   ///< of the curriculum, from 0
  std::int64_t epoch = 0;   ///< passes begun since the start of the run, over all stages
  std::int64_t sample = 0;  ///< within the epoch
  auto operator<=>(cursor const&) const = default;
};

}  // namespace tenon::data
