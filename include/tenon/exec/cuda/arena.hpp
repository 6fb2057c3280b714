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

/// Lends parameters out of flat buffers that lie on the device; the same functions as exec::parameter_store.
template <class Model, class Compute>
class device_store {
 public:
  using layout = flat_layout<Model>;
  using W = nn::weights<Compute>;
  device_store() = default;
  device_store(float* master, float* gradient, Compute* compute) : master_(master), gradient_(gradient), compute_(compute) {}

  auto embedding() const { return lend<typename Model::embedding_group::template params<W>>(0); }
  template <int Section = 0>
  auto block(int i) const {
    return lend<typename nn::section_at<Model, Section>::block::template params<W>>(layout::template block<Section>(i));
  }
  auto head() const { return lend<typename Model::head_group::template params<W>>(layout::head); }
  auto embedding_sink(bool first) const {
    return sink<typename Model::embedding_group::template params<nn::gradients>>(0, first);
  }
  template <int Section = 0>
  auto block_sink(int i, bool first) const {
    return sink<typename nn::section_at<Model, Section>::block::template params<nn::gradients>>(layout::template block<Section>(i), first);
  }
  auto head_sink(bool first) const { return sink<typename Model::head_group::template params<nn::gradients>>(layout::head, first); }

 private:
  template <class Params>
  Params lend(std::int64_t offset) const {
    Params p{};
    nn::bind_parameters(p, static_cast<Compute const*>(compute_) + offset, master_ + offset);
    return p;
  }
  template <class Params>
  Params sink(std::int64_t offset, bool first) const {
    Params p{};
    nn::bind_parameters(p, gradient_ + offset);
    nn::for_each_leaf(p, [&](auto& leaf) { leaf.beta = first ? 0.f : 1.f; });
    return p;
  }
  float *master_ = nullptr, *gradient_ = nullptr;
  Compute* compute_ = nullptr;
};

}  // namespace tenon::exec::cuda
