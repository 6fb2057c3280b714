#pragma once
#include <algorithm>
#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

#include "tenon/data/loader.hpp"

namespace tenon::data {

/// The held-out side in its one fixed order, with the number of bytes that its bits are divided by.
///
/// *Bits per byte* = sum of -log2 p(target) over all rows with a target, divided by bytes(): the bytes of text of
/// exactly those targets. End of text counts no byte, but its bits count. Since every token of every held-out document
/// is a target once, bytes() of the whole side is the size of its text, and does not depend on the tokenizer. Of conversations (packing::whole) only answers count.
class held_out_set {
 public:
  /// `byte_lengths`: tokenizer::byte_lengths(). `max_samples` above 0 takes only the first so many samples of the fixed
  /// order, which is shuffled, so that they stand for the whole. Errors: those of loader.
  held_out_set(store const& s, std::int64_t sequence, std::int32_t begin_of_text,
               std::span<std::uint32_t const> byte_lengths, std::int64_t max_samples = 0,
               packing how = packing::stream)
      : loader_(s, split::held_out, sequence, 0, begin_of_text, {}, how), samples_(loader_.samples_in_epoch({})) {
    if (max_samples > 0) samples_ = std::min(samples_, max_samples);
    std::vector<std::int32_t> rows[4];
    for (auto& r : rows) r.resize(std::size_t(sequence));
    for (std::int64_t i = 0; i < samples_; ++i) {
      loader_.fill({0, 0, i}, 1, rows[0].data(), rows[1].data(), rows[2].data(), rows[3].data());
      for (auto t : rows[1]) {
        if (t < 0) continue;
        ++targets_;
        if (std::size_t(t) >= byte_lengths.size())
          throw error("the store holds token " + std::to_string(t) +
                      ", which the tokenizer does not have; they do not belong together");
        bytes_ += byte_lengths[std::size_t(t)];
      }
    }
  }

  std::int64_t samples() const { return samples_; }
  std::int64_t sequence() const { return loader_.sequence(); }
  /// Rows with a target.
  std::int64_t targets() const { return targets_; }
  /// Bytes of text of the targets.
  std::int64_t bytes() const { return bytes_; }
  /// Bits per byte from the summed loss in nats over all samples().
  double bits_per_byte(double nats) const { return nats / std::numbers::ln2 / double(bytes_); }

  /// Writes samples [first, first + count), which must lie in [0, samples()); arrays as for loader::fill.
  void fill(std::int64_t first, std::int64_t count, std::int32_t* tokens, std::int32_t* targets,
            std::int32_t* positions, std::int32_t* document_start) {
    loader_.fill({0, 0, first}, count, tokens, targets, positions, document_start);
  }

 private:
  loader loader_;
  std::int64_t samples_ = 0, targets_ = 0, bytes_ = 0;
};

}  // namespace tenon::data
