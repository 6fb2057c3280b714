#pragma once
#include "tenon/data/prefetcher.hpp"
#include "tenon/nn/context.hpp"

namespace tenon::train {

/// `count` samples of a loaded batch, from sample `first` on, as the layers see them. `sequence_seed`: scale / sequences
/// of the step, for losses of whole sequences.
inline nn::micro_batch rows_of(data::micro_batch const& b, std::int64_t first, std::int64_t count,
                               float sequence_seed = 0) {
  auto const at = first * b.sequence;
  return {.samples = count,
          .sequence = b.sequence,
          .tokens = b.tokens.data() + at,
          .targets = b.targets.data() + at,
          .positions = b.positions.data() + at,
          .document_start = b.document_start.data() + at,
          .balance_seed = sequence_seed};
}

}  // namespace tenon::train
