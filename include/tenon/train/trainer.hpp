#pragma once
#include <array>
#include <memory>
#include <tuple>
#include <vector>

#include "tenon/data/prefetcher.hpp"
#include "tenon/models/of_recipe.hpp"
#include "tenon/optim/adamw.hpp"
#include "tenon/optim/loss_scale.hpp"
#include "tenon/optim/norm.hpp"
#include "tenon/optim/routes.hpp"
#include "tenon/optim/sgd.hpp"
#include "tenon/recipe.hpp"
#include "tenon/train/component.hpp"
#include "tenon/train/static_engine.hpp"

namespace tenon::train {

/// Makes the engine of a model policy; the adapter for torch modules specialises it.
template <class Policy>
struct engine_for {
  template <auto const& R>
  using type = static_engine<models::of_recipe<R>, models::compute_of<R>>;
  template <auto const& R, class Recipe>
  static type<R> make(Recipe const& r, std::int64_t num_rows, int members) {
    return {num_rows, r.batch.sequence.count, members, r.model.rope_theta};
  }
};

/// A training run's whole state and the numbers that drive it. `R` gives the types and everything that is compiled in;
/// `r`, a value of the same type, the numbers of this run, command line included.
template <auto const& R>
class trainer : public checked<R> {
 public:
  using recipe_type = std::remove_cvref_t<decltype(R)>;
  using precision = resolved_precision_t<recipe_type>;
  using maker = engine_for<std::remove_cvref_t<decltype(R.model)>>;
  using engine_type = typename maker::template type<R>;
  using optimizer = optim::engine<std::remove_cvref_t<decltype(R.optimizer)>>;
  static constexpr bool scales_loss = std::is_same_v<precision, tenon::precision::fp16>;

  /// `total`: steps of the horizon, resolved against the data.
  trainer(recipe_type const& r, int members, steps total)
      : recipe_(r),
        total_(total),
        team_(members),
        engine_(maker::template make<R>(r, R.batch.micro.count * R.batch.sequence.count, members)),
        optimizer_(engine_.size()),
        regions_(optim::regions(engine_.places(), engine_.size())),
        squares_(std::size_t(optim::num_chunks(engine_.size()))) {
    if constexpr (scales_loss) scaler_.scale = r.precision.initial_scale;
    engine_.initialise(r.seed.value, initial_deviation(r.model));
    auto prepare = [](int) { exec::cpu::prepare_library<typename engine_type::compute>(); };
    team_.run(prepare);
  }

  recipe_type const& recipe() const { return recipe_; }
  engine_type const& engine() const { return engine_; }
  engine_type& engine() { return engine_; }
  exec::cpu::team& team() { return team_; }
  typename optimizer::state& optimizer_state() { return optimizer_; }
  std::vector<optim::region> const& regions() const { return regions_; }
  optim::loss_scale& scaler() { return scaler_; }
  double loss_scale() const { return scaler_.scale; }
  train::progress const& progress() const { return progress_; }
  steps total() const { return total_; }
  static constexpr std::int64_t micro_samples() { return R.batch.micro.count; }

  /// Rate of the update that comes next.
  double learning_rate() const {
    return recipe_.schedule.at(steps{progress_.step}, total_, tokens_per_step(recipe_.batch));
  }
  /// Sum of squares of one chunk of the gradient.
  double& squares(std::int64_t chunk) { return squares_[std::size_t(chunk)]; }
  /// Norm of the unscaled gradient, added up in the order of the chunks.
  double norm() const {
    double total = 0;
    for (double s : squares_) total += s;
    return std::sqrt(total) / scaler_.scale;
  }
  void advance(data::micro_batch const& batch, std::int64_t count) {
    ++progress_.step;
    progress_.tokens += count;
    progress_.cursor = batch.next;
  }

  /// Everything that a checkpoint must hold, as a typed list; the schema is derived from it.
  auto components() {
    auto always =
        std::tuple{parameter_component{engine_.master(), &engine_.places()},
                   optimizer_component<optimizer>{&optimizer_, &engine_.places()}, progress_component{&progress_}};
    auto scaling = [&] {
      if constexpr (scales_loss)
        return std::tuple{loss_scale_component{&scaler_}};
      else
        return std::tuple{};
    }();
    auto own = [&] {
      if constexpr (requires(detail::probe & p) { engine_.visit_state(p); })
        return std::tuple{engine_component<engine_type>{&engine_}};
      else
        return std::tuple{};
    }();
    auto all = std::tuple_cat(always, scaling, own);
    constexpr bool saved = []<class... C>(std::type_identity<std::tuple<C...>>) {
      return (saved_component<C> && ...);
    }(std::type_identity<std::remove_cvref_t<decltype(all)>>{});
    static_assert(
        saved,
        "[tenon.state_saved] a component of the training state has no visit(component&, visitor&); a run that "
        "cannot save all of its state cannot resume exactly. Write visit beside its type; see train/component.hpp");
    return all;
  }

 private:
  template <class Model>
  static double initial_deviation(Model const& m) {
    if constexpr (requires { m.init_std; })
      return m.init_std;
    else
      return 0.02;
  }

  recipe_type recipe_;
  steps total_;
  exec::cpu::team team_;
  engine_type engine_;
  typename optimizer::state optimizer_;
  std::vector<optim::region> regions_;
  std::vector<double> squares_;
  optim::loss_scale scaler_;
  train::progress progress_;
};

}  // namespace tenon::train

namespace tenon {

/// trainer<pro>: a run's whole state and its step, for programs that write the loop themselves.
template <auto const& R>
using trainer = train::trainer<R>;

}  // namespace tenon
