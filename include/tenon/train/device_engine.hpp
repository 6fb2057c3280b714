#pragma once
#include <array>
#include <string>
#include <vector>

#include "tenon/exec/cuda/engine.hpp"
#include "tenon/models/of_recipe.hpp"
#include "tenon/optim/loss_scale.hpp"
#include "tenon/optim/routes.hpp"
#include "tenon/parallel/place.hpp"
#include "tenon/recipe.hpp"

namespace tenon::train {

/// The rules of an optimizer policy as the device's update reads them (others are refused: rules::optimizer_on_gpu).
inline exec::cuda::step_rules device_rules(optimizer::adamw const& p) {
  exec::cuda::step_rules r;
  r.beta1 = p.beta1, r.beta2 = p.beta2, r.epsilon = p.epsilon, r.weight_decay = p.weight_decay, r.clip = p.clip;
  return r;
}
inline exec::cuda::step_rules device_rules(optimizer::sgd const& p) {
  exec::cuda::step_rules r;
  r.rule = exec::cuda::update_rule::sgd;
  r.momentum = p.momentum, r.nesterov = p.nesterov ? 1 : 0, r.weight_decay = p.weight_decay, r.clip = p.clip;
  return r;
}
/// What becomes of each 16 parameters, from the same regions that the CPU's update walks.
inline std::vector<std::uint8_t> granules_of(std::vector<nn::parameter_place> const& places, std::int64_t total) {
  using namespace exec::cuda;
  std::vector<std::uint8_t> map(std::size_t(num_granules(total)), 0);
  auto const mark = [&](std::int64_t first, std::int64_t last, std::uint8_t bits) {
    for (auto g = first / granule_size; g < (last + granule_size - 1) / granule_size; ++g) map[std::size_t(g)] |= bits;
  };
  for (auto const& r : optim::regions(places, total)) mark(r.first, r.last, std::uint8_t(trained | (r.decays ? decayed : 0)));
  for (auto const& r : optim::with_gradient(places, total)) mark(r.first, r.last, counted);
  return map;
}

/// The GPU of this process: its place among the ranks of its machine, as the launcher says.
inline int device_of_process() {
  auto const p = parallel::place_of_environment();
  return p ? p->local_rank : 0;
}

/// A model of static layers that is trained on a GPU: what `static_engine` is on the CPU. Parameters and moments live on
/// the device; the host has a mirror of them, which checkpoints, import and generation read. `bring_home` makes the mirror
/// true, `refresh_copy` sends it.
/// `Moment`: what the optimizer keeps its moments as.
template <class Model, class Compute, class Optimizer, class Attention = exec::cuda::own_attention, class Moment = float>
class device_engine {
 public:
  using model = Model;
  using compute = Compute;
  static constexpr bool on_device = true;
  static constexpr int moments = Optimizer::moments;
  using device_type = exec::cuda::device<Model, Compute, moments, Attention, Moment>;

  device_engine(int index, std::int64_t samples, std::int64_t sequence, std::int64_t micro_batches, nn::rotation const& turn,
                exec::cuda::step_rules const& rules)
      : places_(exec::parameter_places<Model>()),
        device_(index, samples, sequence, micro_batches, turn, rules, granules_of(places_, size())) {}

  std::vector<nn::parameter_place> const& places() const { return places_; }
  static constexpr std::int64_t size() { return exec::flat_layout<Model>::total; }
  float* master() const { return host_.master(); }
  void initialise(std::uint64_t seed, double std_dev) const { host_.initialise(seed, std_dev); }
  device_type& device() { return device_; }
  device_type const& device() const { return device_; }
  /// The host's weights, in the compute format, too; for generation on the CPU.
  auto const& store() const {
    host_.refresh_copy();
    return host_;
  }

  /// Where the host's side of the optimizer's and the scaler's state is. Once, by the trainer.
  template <class State>
  void attach(State& state, optim::loss_scale* scaler) {
    for (std::size_t m = 0; m < moments; ++m) mirror_[m] = state.moments.at(m);
    updates_ = &state.updates, scaler_ = scaler;
    refresh_copy();
  }
  /// The host's mirror to the device.
  void refresh_copy() {
    exec::cuda::step_numbers n;
    n.updates = *updates_;
    if (scaler_ != nullptr) n.scale = scaler_->scale, n.good_steps = scaler_->good_steps, n.skipped = scaler_->skipped;
    std::array<Moment const*, moments> from{};
    for (std::size_t m = 0; m < moments; ++m) from[m] = mirror_[m];
    device_.load(host_.master(), from, n);
  }
  /// The device's state to the host's mirror. After the last step's report was fetched.
  void bring_home() { keep(device_.fetch(host_.master(), mirror_)); }
  /// The numbers of a report into the host's state.
  void keep(exec::cuda::step_numbers const& n) {
    *updates_ = n.updates;
    if (scaler_ != nullptr) scaler_->scale = n.scale, scaler_->good_steps = n.good_steps, scaler_->skipped = n.skipped;
  }

 private:
  std::vector<nn::parameter_place> places_;
  exec::parameter_store<Model, Compute> host_;
  device_type device_;
  std::array<Moment*, moments> mirror_{};
  std::int64_t* updates_ = nullptr;
  optim::loss_scale* scaler_ = nullptr;
};

}  // namespace tenon::train
