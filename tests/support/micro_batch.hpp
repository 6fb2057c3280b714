#pragma once
#include <cstdint>
#include <vector>

#include "tenon/core/philox.hpp"
#include "tenon/nn/context.hpp"

/// A random micro-batch with documents that end inside samples and rows without a target.
struct random_batch {
  std::vector<std::int32_t> tokens, targets, positions, document_start;
  std::int64_t samples, sequence;

  random_batch(std::int64_t samples_, std::int64_t sequence_, int vocab, std::uint64_t seed)
      : samples(samples_), sequence(sequence_) {
    tenon::random_stream const random(seed, "batch");
    std::uint64_t draw = 0;
    for (std::int64_t s = 0; s < samples; ++s) {
      std::int32_t start = 0;
      for (std::int32_t r = 0; r < sequence; ++r) {
        if (r > 0 && random.uniform(draw++) < 0.1) start = r;
        tokens.push_back(std::int32_t(random.uniform(draw++) * vocab));
        targets.push_back(random.uniform(draw++) < 0.15 ? -1 : std::int32_t(random.uniform(draw++) * vocab));
        positions.push_back(r - start);
        document_start.push_back(start);
      }
    }
  }
  std::int64_t count() const {
    std::int64_t n = 0;
    for (auto t : targets) n += t >= 0;
    return n;
  }
  tenon::nn::micro_batch view(float const* rotary_cos = nullptr, float const* rotary_sin = nullptr) const {
    return {.samples = samples,
            .sequence = sequence,
            .tokens = tokens.data(),
            .targets = targets.data(),
            .positions = positions.data(),
            .document_start = document_start.data(),
            .rotary_cos = rotary_cos,
            .rotary_sin = rotary_sin};
  }
};
