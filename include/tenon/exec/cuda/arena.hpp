#pragma once
#include <cstdint>
#include <type_traits>

#include "tenon/exec/cuda/workspace.hpp"
#include "tenon/exec/store.hpp"

/// All memory of the device that a run takes: one allocation, whose size is the plan's. No CUDA header.
namespace tenon::exec::cuda {

/// Bytes of the whole arena. `rows`: of a micro-batch; `micro_batches`: of a step on one rank; `Moments`: of the optimizer,
/// of `moment_size` bytes an element.
template <class Model, class Compute, int Moments>
constexpr std::int64_t arena_bytes(std::int64_t rows, std::int64_t micro_batches, std::int64_t moment_size = 4) {
  constexpr std::int64_t size = flat_layout<Model>::total;
  constexpr bool has_copy = !std::is_same_v<Compute, float>;
  std::int64_t const parts[]{size * 4, size * 4, has_copy ? size * std::int64_t(sizeof(Compute)) : 0,
                             nn::activation_bytes<typename Model::template saved<Compute>>(rows, 1),
                             nn::activation_bytes<typename Model::scratch>(rows, 1)};
  std::int64_t total = workspace_bytes<Model, Compute>(rows, micro_batches, size);
  for (auto const bytes : parts) total += nn::align_up(bytes, place_alignment);
  for (int m = 0; m < Moments; ++m) total += nn::align_up(size * moment_size, place_alignment);
  return total;
}

}  // namespace tenon::exec::cuda
