#pragma once
#include <algorithm>
#include <numeric>
#include <vector>

#include "tenon/exec/activations.hpp"
#include "tenon/exec/cpu/executor.hpp"
#include "tenon/exec/split_store.hpp"

namespace tenon::train {

/// A model of static layers with its parameters and memory: what the step drives. (`autograd_engine` is the same door
/// for a torch::nn::Module.) `Training`: what of it is trained (nn/training.hpp); size, places and the flat buffers are
/// those of the trained parameters.
template <class Model, class Compute, class Training = nn::train_all>
class static_engine {
 public:
  using model = Model;
  using compute = Compute;
  using training = Training;
  using store_type = exec::store_for<Model, Compute, Training>;
  using executor = exec::cpu::executor<Compute>;

  /// `num_rows`: rows of the largest micro-batch. `keys`: rows of the longest sample. `balance` and `bias`: of routed
  /// experts. `further`: weight of the loss of each module that predicts a further token. `adapter_scale`: of what
  /// adapters add.
  static_engine(std::int64_t num_rows, std::int64_t keys, int members, nn::rotation const& turn,
                nn::balance_weights balance = {}, nn::bias_rule bias = {}, float further = 0, float adapter_scale = 1)
      : num_rows_(num_rows),
        store_(make_store(num_rows, adapter_scale)),
        memory_(num_rows, members, keys, turn),
        places_(trained_places()),
        balance_(balance),
        bias_(bias),
        further_(further) {
    for (auto const& p : places_)
      if (p.parameter_role == nn::role::router_bias) routers_.push_back({p.offset, p.size()});
  }

  std::vector<nn::parameter_place> const& places() const { return places_; }
  std::int64_t size() const { return store_.size; }  ///< elements of the flat buffers
  float* master() const { return store_.master(); }
  float* gradient() const { return store_.gradient(); }
  Compute* copy() const { return store_.compute(); }
  void initialise(std::uint64_t seed, double std_dev) const { store_.initialise(seed, std_dev); }
  void refresh_copy() const { store_.refresh_copy(); }
  std::int64_t activation_bytes() const { return memory_.bytes(); }
  auto const& store() const { return store_; }
  /// Frozen parameters: their names, and room for their values.
  std::vector<nn::parameter_place> frozen_places() const requires(Training::splits) {
    return exec::split_places<Model, Training>(false);
  }
  void set_frozen(nn::parameter_place const& p, float const* values) const requires(Training::splits) {
    store_.set_frozen(p, values);
  }
  auto const& memory() const { return memory_; }

  executor on(exec::cpu::team& t, int member) const { return {t, member, memory_.workspace(member), memory_.shared()}; }

  /// Whether the model has losses of whole sequences beside that of each token.
  static constexpr bool balances = requires(typename Model::template saved<Compute> s) { s.balance_loss.data; };
  /// Modules that predict further tokens.
  static constexpr int modules = [] {
    if constexpr (requires { Model::modules; })
      return Model::modules;
    else
      return 0;
  }();

  void clear_loss(executor& x) const {
    nn::clear_tiles(x, memory_.saved.head.loss, num_rows_);
    if constexpr (balances)
      x.rows(num_rows_, [&](auto first, auto last) { std::fill_n(memory_.saved.balance_loss.row(first), last - first, 0.); });
    if constexpr (modules > 0)
      for (auto const& m : memory_.saved.further) nn::clear_tiles(x, m.loss, num_rows_);
  }
  /// Sum of the sequences' balance losses since `clear_loss`, over layers, each with its weight.
  double balance_sum() const {
    double total = 0;
    if constexpr (balances)
      for (std::int64_t i = 0; i < num_rows_; ++i) total += memory_.saved.balance_loss.data[i];
    return total;
  }
  /// Sum of -log p over the rows with a target since `clear_loss`, in the order of the rows.
  double loss_sum() const { return nn::sum_of_tiles(memory_.saved.head.loss, num_rows_); }

  /// The same of the modules that predict further tokens, the mean over them.
  double further_sum() const {
    double total = 0;
    if constexpr (modules > 0)
      for (auto const& m : memory_.saved.further) total += nn::sum_of_tiles(m.loss, num_rows_) / modules;
    return total;
  }
  /// Rows of the fullest expert beside the mean over experts, in the block where that is largest; 0 where no router counts
  /// its rows. Of the whole step, once its gradients are summed.
  double expert_load() const {
    double most = 0;
    for (auto const& [first, experts] : routers_) {
      float const *const rows = gradient() + first, *const end = rows + experts;
      double const total = std::accumulate(rows, end, 0.0);
      if (total > 0) most = std::max(most, *std::max_element(rows, end) * double(experts) / total);
    }
    return most;
  }

  /// `seed`: scale / tokens of the step that have a target; `b.balance_seed`: scale / sequences of the step.
  void forward_backward(executor& x, nn::micro_batch b, float seed, bool first) const {
    forward_backward(x, b, seed, first, [](auto const& store) -> auto const& { return store; });
  }
  /// The same through the store that `over` makes of this one, such as parallel::announcing_store.
  template <class Over>
  void forward_backward(executor& x, nn::micro_batch b, float seed, bool first, Over const& over) const {
    b.rotary_cos = memory_.rotary_cos, b.rotary_sin = memory_.rotary_sin;
    if constexpr (balances) {
      bool const any = balance_.expert != 0 || balance_.device != 0 || balance_.exchange != 0;
      b.balance = balance_, b.balance_seed = any ? b.balance_seed : 0;
    }
    b.further_weight = further_;
    auto&& store = over(store_);
    Model::forward_backward(x, store, b, memory_.saved, memory_.scratch, seed, first);
  }
  void evaluate(executor& x, nn::micro_batch b) const {
    b.rotary_cos = memory_.rotary_cos, b.rotary_sin = memory_.rotary_sin;
    Model::evaluate(x, store_, b, memory_.saved);
  }

  /// Moves what is trained without a gradient, when the gradients' places hold the sums of the whole step. Every member
  /// calls it.
  void end_of_step(executor& x) const {
    if constexpr (Training::trains(nn::role::router_bias))
      if constexpr (requires { Model::end_of_step(x, store_, bias_); }) Model::end_of_step(x, store_, bias_);
  }

 private:
  static store_type make_store(std::int64_t num_rows, float scale) {
    if constexpr (Training::splits)
      return store_type(num_rows, scale);
    else
      return store_type();
  }
  static std::vector<nn::parameter_place> trained_places() {
    if constexpr (Training::splits)
      return exec::split_places<Model, Training>(true);
    else
      return exec::parameter_places<Model>();
  }

  std::int64_t num_rows_;
  store_type store_;
  exec::activations<Model, Compute> memory_;
  std::vector<nn::parameter_place> places_;
  nn::balance_weights balance_;
  nn::bias_rule bias_;
  float further_;
  struct counts {
    std::int64_t first, experts;
  };
  std::vector<counts> routers_;  ///< where each router's rows of its experts are counted, in the gradient
};

}  // namespace tenon::train
