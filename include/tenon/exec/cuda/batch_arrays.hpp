#pragma once
#include <algorithm>
#include <cstring>
#include <vector>

#include "tenon/exec/cuda/workspace.hpp"
#include "tenon/nn/context.hpp"

namespace tenon::exec::cuda {

/// Writes a micro-batch of the host, and what the device's kernels want to know of it, where it is sent from. Returns the
/// number of its documents. `room` is reused memory.
class batch_writer {
 public:
  explicit batch_writer(std::int64_t vocab) : at_(std::size_t(vocab) + 1) {}

  /// `to`: batch_arrays places of batch_array_bytes(rows) each.
  int write(nn::micro_batch const& b, std::byte* to, std::int64_t rows) {
    auto const n = b.num_rows();
    auto const place = [&](int i) { return reinterpret_cast<std::int32_t*>(to + i * batch_array_bytes(rows)); };
    std::int32_t const* const from[]{b.tokens, b.targets, b.positions, b.document_start};
    for (int i = 0; i < 4; ++i) std::memcpy(place(i), from[i], std::size_t(n) * 4);
    sort(b.tokens, n, place(4));
    auto* const begins = place(5);
    int found = 0;
    for (std::int64_t row = 0; row < n; ++row)
      if (begins_document(b, row)) begins[found++] = std::int32_t(row);
    std::fill(begins + found, begins + rows + 1, std::int32_t(n));  // behind them: empty ones
    return found;
  }
  static int documents(nn::micro_batch const& b) {
    int found = 0;
    for (std::int64_t row = 0; row < b.num_rows(); ++row) found += begins_document(b, row) ? 1 : 0;
    return found;
  }

 private:
  static bool begins_document(nn::micro_batch const& b, std::int64_t row) { return b.document_start[row] == row % b.sequence; }
  /// Rows sorted by token, equal tokens in the order of the batch.
  void sort(std::int32_t const* tokens, std::int64_t n, std::int32_t* order) {
    std::fill(at_.begin(), at_.end(), 0);
    for (std::int64_t i = 0; i < n; ++i) ++at_[std::size_t(tokens[i]) + 1];
    for (std::size_t t = 1; t < at_.size(); ++t) at_[t] += at_[t - 1];
    for (std::int64_t i = 0; i < n; ++i) order[at_[std::size_t(tokens[i])]++] = std::int32_t(i);
  }
  std::vector<std::int32_t> at_;
};

}  // namespace tenon::exec::cuda
