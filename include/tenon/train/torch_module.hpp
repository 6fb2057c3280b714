#pragma once
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/scalar_tensor.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tenon/exec/buffer.hpp"
#include "tenon/exec/cpu/executor.hpp"
#include "tenon/train/flat_gradient.hpp"
#include "tenon/train/trainer.hpp"

/// The adapter for foreign code: any torch::nn::Module, or any type with `named_parameters()` and `forward`, runs under
/// LibTorch's autograd inside tenon's loop. Loss, accumulation, clipping, optimizer, data and checkpoints are tenon's.
namespace tenon::train {

/// A module as an engine. Its state is dynamic: names, shapes and dtypes are taken at construction and compared on load
/// by name and shape; its parameters live in the flat buffer, its gradients too, so the one fused optimizer pass
/// applies.
///
/// `Module` is default-constructible. `forward` takes int64 tokens [samples, sequence] and returns logits [samples,
/// sequence, vocab]; if it can be called with (tokens, positions, document_start) it gets all three, and is then asked
/// to keep attention inside documents. Its random numbers (dropout) are seeded anew for each step and micro-batch from
/// (seed, step), so that no generator state has to be saved.
template <class Module>
class autograd_engine {
 public:
  using compute = float;
  /// The step's own passes run on LibTorch's threads, as the module does: threads of ours beside them would have to wake
  /// in each step, and would share the cores with LibTorch's, which wait by spinning.
  struct executor : exec::cpu::executor<float> {
    using exec::cpu::executor<float>::executor;
    template <class F>
    void tasks(std::int64_t count, F&& f) const {
      at::parallel_for(0, count, 1, [&](std::int64_t first, std::int64_t last) {
        for (auto task = first; task < last; ++task) f(task);
      });
    }
  };

  autograd_engine(std::uint64_t seed, std::int64_t vocab, int threads) : seed_(seed), vocab_(vocab) {
    at::set_num_threads(threads);  // the module computes on LibTorch's own threads
    at::manual_seed(seed);
    module_ = std::make_shared<Module>();
    std::int64_t offset = 0;
    for (auto const& item : module_->named_parameters()) {
      at::Tensor const& p = value_of(item);
      if (p.scalar_type() != at::kFloat || !p.device().is_cpu())
        throw error("parameter '" + std::string(name_of(item)) +
                    "' of the module is not fp32 on the CPU; convert the module in its constructor");
      auto const sizes = p.sizes();
      nn::parameter_place place{std::string(name_of(item)),
                                offset,
                                1,
                                p.numel(),
                                int(p.dim()),
                                p.dim() < 2 ? nn::role::norm : nn::role::hidden,
                                nn::initializer::normal,
                                {},
                                p.requires_grad()};
      if (p.dim() == 2)
        place.rows = sizes[0], place.cols = sizes[1];
      else if (p.dim() != 1)
        place.other_shape.assign(sizes.begin(), sizes.end());
      places_.push_back(std::move(place));
      tensors_.push_back(p);
      offset += nn::align_up(p.numel(), nn::alignment / 4);
    }
    if (tensors_.empty())
      throw error("the module has no parameters; register them with register_parameter or register_module");
    for_each_buffer([](std::string const& name, at::Tensor const& b) {
      bool const known = b.scalar_type() == at::kFloat || (b.scalar_type() == at::kLong && b.numel() == 1);
      if (!known || !b.is_contiguous() || !b.device().is_cpu())
        throw error("buffer '" + name +
                    "' of the module is neither contiguous fp32 nor one int64, so a checkpoint could not hold it; "
                    "keep what can be computed again as a plain member instead of a buffer");
    });
    size_ = offset;
    master_ = exec::buffer(size_ * 4), gradient_ = exec::buffer(size_ * 4);
    written_ = std::make_unique<bool[]>(tensors_.size());
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      auto const& p = places_[i];
      at::Tensor const home = at::from_blob(master() + p.offset, tensors_[i].sizes(), at::kFloat);
      at::NoGradGuard const no_grad;
      home.copy_(tensors_[i]);
      tensors_[i].set_data(home);
      if (p.trainable) keep_gradient_in(tensors_[i], gradient() + p.offset, &written_[i]);
    }
  }

  std::vector<nn::parameter_place> const& places() const { return places_; }
  std::int64_t size() const { return size_; }
  float* master() const { return master_.template as<float>(); }
  float* gradient() const { return gradient_.template as<float>(); }
  float* copy() const { return master(); }
  void initialise(std::uint64_t, double) const {}  // the module's constructor has done it, from the recipe's seed
  void refresh_copy() const {}
  Module& module() const { return *module_; }

  executor on(exec::cpu::team& t, int member) const { return {t, member, nullptr, nullptr}; }
  void clear_loss(executor& x) const {
    if (x.member() == 0) loss_ = 0;
  }
  double loss_sum() const { return loss_; }

  void forward_backward(executor& x, nn::micro_batch const& b, float seed, bool first) const {
    x.serial([&] {
      if (first) std::fill_n(written_.get(), tensors_.size(), false), ++step_, micro_ = 0;
      at::manual_seed(seed_ + 0x9E3779B97F4A7C15ull * (std::uint64_t(step_) << 20 | std::uint64_t(micro_++)));
      auto const loss = loss_of(b);
      loss.backward(at::scalar_tensor(seed, loss.options()));
      loss_ += loss.template item<double>();
      if (first) clear_unwritten();
    });
  }
  void evaluate(executor& x, nn::micro_batch const& b) const {
    x.serial([&] {
      at::NoGradGuard const no_grad;
      train_mode(false);
      loss_ += loss_of(b).template item<double>();
      train_mode(true);
    });
  }
  /// The module's buffers: its state beside the parameters, for the checkpoint.
  template <class V>
  void visit_state(V& v) const {
    for_each_buffer([&](std::string const& name, at::Tensor const& b) {
      if (b.scalar_type() == at::kFloat)
        v.tensor(file::state, "buffers." + name, b.sizes().vec(), b.template mutable_data_ptr<float>());
      else
        v.number("buffers." + name, *b.template mutable_data_ptr<std::int64_t>());
    });
  }
  /// The step that comes next is `step` + 1: what the seeds of dropout follow after a resume.
  void set_step(std::int64_t step) const { step_ = step; }

 private:
  /// A parameter that this micro-batch did not use has a gradient of zero so far.
  void clear_unwritten() const {
    for (std::size_t i = 0; i < tensors_.size(); ++i)
      if (places_[i].trainable && !std::exchange(written_[i], true))
        std::fill_n(gradient() + places_[i].offset, tensors_[i].numel(), 0.f);
  }
  template <class Item>
  static auto const& name_of(Item const& item) {
    if constexpr (requires { item.key(); })
      return item.key();
    else
      return item.first;
  }
  template <class Item>
  static at::Tensor const& value_of(Item const& item) {
    if constexpr (requires { item.value(); })
      return item.value();
    else
      return item.second;
  }
  template <class F>
  void for_each_buffer(F&& f) const {
    if constexpr (requires { module_->named_buffers(); })
      for (auto const& item : module_->named_buffers()) f(std::string(name_of(item)), value_of(item));
  }
  void train_mode(bool on) const {
    if constexpr (requires { module_->train(on); }) module_->train(on);
  }
  static at::Tensor ids(std::int32_t const* data, nn::micro_batch const& b) {
    return at::from_blob(const_cast<std::int32_t*>(data), {b.samples, b.sequence}, at::kInt).to(at::kLong);
  }
  at::Tensor loss_of(nn::micro_batch const& b) const {
    auto const tokens = ids(b.tokens, b);
    at::Tensor logits;
    if constexpr (requires { module_->forward(tokens, tokens, tokens); })
      logits = module_->forward(tokens, ids(b.positions, b), ids(b.document_start, b));
    else
      logits = module_->forward(tokens);
    if (logits.dim() != 3 || logits.size(2) != vocab_)
      throw error("the module's forward must return logits [samples, sequence, " + std::to_string(vocab_) +
                  "]; it returned " + std::to_string(logits.dim()) + " dimensions" +
                  (logits.dim() > 0 ? ", the last of " + std::to_string(logits.size(-1)) : ""));
    return at::cross_entropy_loss(logits.reshape({-1, vocab_}), ids(b.targets, b).reshape({-1}), {},
                                  /*reduction: sum*/ 2, /*ignore_index*/ -1);
  }

  std::uint64_t seed_;
  std::int64_t vocab_, size_ = 0;
  std::shared_ptr<Module> module_;
  std::vector<nn::parameter_place> places_;
  std::vector<at::Tensor> tensors_;
  exec::buffer master_, gradient_;
  std::unique_ptr<bool[]> written_;  // by this step, for each parameter
  mutable double loss_ = 0;
  mutable std::int64_t step_ = 0, micro_ = 0;
};

template <class Module>
struct engine_for<model::torch_module<Module>> {
  template <auto const& R>
  using type = autograd_engine<Module>;
  static constexpr int team_of(int) { return 1; }  // LibTorch's threads do the rest
  template <auto const& R, class Recipe>
  static type<R> make(Recipe const& r, std::int64_t, int threads) {
    static_assert(resolved_precision_t<Recipe>::compute == dtype::fp32);  // rules::module_in_fp32 has asked
    return {r.seed.value, r.model.vocab, threads};
  }
};

}  // namespace tenon::train
