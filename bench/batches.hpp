#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <tenon/core/error.hpp>
#include <tenon/core/philox.hpp>
#include <tenon/data/prefetcher.hpp>

namespace bench {

/// Text that can be learnt: mostly, a token decides the next one. Samples of one document each. Written for the peers as
/// int32 [batches][samples][sequence + 1].
class batches {
 public:
  static constexpr std::int64_t count = 20;

  batches(std::int64_t samples, std::int64_t sequence, std::int64_t vocab) : samples_(samples), sequence_(sequence) {
    tenon::random_stream const random(7, "benchmark");
    std::uint64_t draw = 0;
    for (std::int64_t sample = 0; sample < count * samples; ++sample)
      for (std::int64_t i = 0; i <= sequence; ++i) {
        bool const follows = i > 0 && random.uniform(draw++) < 0.8;
        ids_.push_back(follows ? std::int32_t((std::int64_t{ids_.back()} * 5 + 1) % vocab) : std::int32_t(random.uniform(draw++) * double(vocab)));
      }
    for (std::int64_t i = 0; i < count; ++i) batches_.push_back(make(i));
  }
  tenon::data::micro_batch const& at(std::int64_t index) const { return batches_[std::size_t(index % count)]; }
  void write(std::filesystem::path const& file) const {
    std::ofstream out(file, std::ios::binary);
    out.write(reinterpret_cast<char const*>(ids_.data()), std::streamsize(ids_.size() * sizeof(std::int32_t)));
    if (!out.flush()) throw tenon::error("cannot write '" + file.string() + "'; is the disk full?");
  }

 private:
  tenon::data::micro_batch make(std::int64_t index) const {
    tenon::data::micro_batch b;
    b.samples = samples_, b.sequence = sequence_, b.num_targets = samples_ * sequence_;
    auto const* row = ids_.data() + index * samples_ * (sequence_ + 1);
    for (std::int64_t s = 0; s < samples_; ++s, row += sequence_ + 1)
      for (std::int64_t i = 0; i < sequence_; ++i) {
        b.tokens.push_back(row[i]), b.targets.push_back(row[i + 1]);
        b.positions.push_back(std::int32_t(i)), b.document_start.push_back(0);
      }
    return b;
  }

  std::int64_t samples_, sequence_;
  std::vector<std::int32_t> ids_;
  std::vector<tenon::data::micro_batch> batches_;
};

}  // namespace bench
