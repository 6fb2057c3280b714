#pragma once
// Which documents share a sample, where none may be parted.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace tenon::data {

/// How documents become the rows of samples.
enum class packing {
  stream,  ///< one behind the other, cut wherever a sample is full: nothing is padding but the end of an epoch
  whole    ///< each whole in one sample, beside others: for conversations, whose answers mean nothing without the
           ///< question
};

/// What became of the conversations of one side of a store.
struct packing_counts {
  std::int64_t conversations = 0;  ///< that are trained on
  std::int64_t cut = 0;            ///< of them: longer than a sample, and cut at its end
  std::int64_t left_out = 0;       ///< beside them: no answer lies before the cut
  std::int64_t rows = 0, targets = 0;
};

/// A document and its number of rows.
struct packed_document {
  std::uint32_t document;
  std::int64_t rows;
};

/// Puts documents of at most `room` rows into samples of `room` rows: the longest first, each into the fullest sample
/// that still has place (best-fit decreasing; Johnson et al. 1974: at most 11/9 of the least number of samples, and 4
/// more). Documents of equal length keep their order, so the result is a function of the list alone. n log n.
inline std::vector<std::vector<std::uint32_t>> pack_whole(std::vector<packed_document> all, std::int64_t room) {
  std::stable_sort(all.begin(), all.end(), [](auto const& a, auto const& b) { return a.rows > b.rows; });
  std::vector<std::vector<std::uint32_t>> samples;
  std::multimap<std::int64_t, std::size_t> left;  // rows that are free, and where
  for (auto const& d : all) {
    auto const found = left.lower_bound(d.rows);
    std::size_t at = samples.size();
    std::int64_t free = room;
    if (found == left.end()) {
      samples.emplace_back();
    } else {
      free = found->first, at = found->second;
      left.erase(found);
    }
    samples[at].push_back(d.document);
    if (free > d.rows) left.emplace(free - d.rows, at);
  }
  return samples;
}

}  // namespace tenon::data
