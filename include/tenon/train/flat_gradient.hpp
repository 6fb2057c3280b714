#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace tenon::train {

/// Takes a parameter's gradient into the flat buffer as soon as autograd has it, while it is still in the cache: the first
/// of a step is written, the others are added. Autograd's own accumulation into a tensor that lies there would clear it
/// first, read it again, and go through the dispatcher for each parameter.
///
/// LibTorch calls it after the accumulation of each backward pass (`set_post_acc_grad_hooks`), on the thread that called
/// `backward()`.
class flat_gradient final : public torch::autograd::PostAccumulateGradHook {
 public:
  /// `home`: the parameter's place in the flat buffer; `written`: whether this step has written it yet.
  flat_gradient(float* home, bool* written) : home_(home), written_(written) {}

  void operator()(at::Tensor const& parameter) override {
    auto& gradient = parameter.mutable_grad();
    if (gradient.layout() != at::kStrided) gradient = gradient.to_dense();  // a sparse embedding's
    at::Tensor const whole = gradient.contiguous();
    auto const* const from = whole.const_data_ptr<float>();
    bool const add = *written_;
    at::parallel_for(0, whole.numel(), grain, [&](std::int64_t first, std::int64_t last) {
      if (add)
        for (auto i = first; i < last; ++i) home_[i] += from[i];
      else
        std::copy(from + first, from + last, home_ + first);
    });
    *written_ = true;
    gradient.reset();  // the next backward pass gives its memory again
  }

 private:
  static constexpr std::int64_t grain = 32768;  // elements that are worth a thread
  float* home_;
  bool* written_;
};

/// From now on, each backward pass leaves the gradient of `parameter`, fp32, in `home`.
inline void keep_gradient_in(at::Tensor const& parameter, float* home, bool* written) {
  torch::autograd::impl::set_post_acc_grad_hooks(parameter, std::make_unique<flat_gradient>(home, written));
}

}  // namespace tenon::train
