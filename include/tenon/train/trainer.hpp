#pragma once
#include <array>
#include <chrono>
#include <memory>
#include <tuple>
#include <vector>

#include "tenon/data/prefetcher.hpp"
#include "tenon/exec/dtypes.hpp"
#include "tenon/models/of_recipe.hpp"
#include "tenon/optim/adamw.hpp"
#include "tenon/optim/norm.hpp"
#include "tenon/optim/routes.hpp"
#include "tenon/optim/sgd.hpp"
#include "tenon/parallel/door.hpp"
#include "tenon/recipe.hpp"
#include "tenon/train/component.hpp"
#include "tenon/train/static_engine.hpp"
#include "tenon/train/team_size.hpp"

namespace tenon::train {

/// The engine of static layers for a kind of device. <tenon/cuda.hpp> has the one for GPUs; a program without it can only
/// be asked for the plan of such a recipe, and its launch is refused.
template <class Policy, device_kind Device>
struct engine_on {
  template <auto const& R>
  using type = static_engine<models::of_recipe<R>, models::compute_of<R>, models::training_of<R>>;
  template <auto const& R, class Recipe>
  static type<R> make(Recipe const& r, std::int64_t num_rows, int members) {
    return {num_rows,
            r.batch.sequence.count,
            members,
            models::rotation_of(r.model),
            models::balance_of(r.model),
            models::bias_rule_of(r.model),
            models::further_weight_of(r.model),
            models::adapter_scale(r.trainable)};
  }
  /// Whether the engine runs on a GPU; then it also says which there are (present, index, facts).
  static constexpr bool is_device = false;
};
template <auto const& R>
using engine_place = engine_on<std::remove_cvref_t<decltype(R.model)>, R.target.facts().device>;

/// Makes the engine of a model policy; the adapter for torch modules specialises it.
template <class Policy>
struct engine_for {
  template <auto const& R>
  using type = typename engine_on<Policy, R.target.facts().device>::template type<R>;
  template <auto const& R, class Recipe>
  static type<R> make(Recipe const& r, std::int64_t num_rows, int members) {
    return engine_on<Policy, R.target.facts().device>::template make<R>(r, num_rows, members);
  }
};

/// The element of an optimizer's moments; float where it has none.
template <class Optimizer>
consteval auto moment_element() {
  if constexpr (requires(typename Optimizer::state s) { s.moments; })
    return std::type_identity<typename decltype(Optimizer::state::moments)::value_type>{};
  else
    return std::type_identity<float>{};
}

/// True; does not compile where a static model's buffers have other dtypes than precision and optimizer state, or where one
/// of its parameters is routed nowhere.
template <class Engine, class Optimizer, class Precision, dtype Moment>
consteval bool types_fit() {
  if constexpr (requires { typename Engine::model; })
    return optim::roles_routed<typename Engine::model> &&
           sizeof(exec::dtypes_as_planned<typename Engine::model, typename Engine::compute, Precision, Moment,
                                          typename decltype(moment_element<Optimizer>())::type>) > 0;
  else
    return true;
}

/// A training run's whole state and the numbers that drive it. `R` gives the types and everything that is compiled in;
/// `r`, a value of the same type, the numbers of this run, command line included.
template <auto const& R>
class trainer : public checked<R> {
 public:
  using recipe_type = std::remove_cvref_t<decltype(R)>;
  using precision = resolved_precision_t<recipe_type>;
  using maker = engine_for<std::remove_cvref_t<decltype(R.model)>>;
  using engine_type = typename maker::template type<R>;
  static constexpr dtype moment = dtypes_of(R).moment;
  using optimizer = optim::engine<std::remove_cvref_t<decltype(R.optimizer)>, models::storage<moment>>;
  static_assert(types_fit<engine_type, optimizer, precision, moment>());
  static constexpr bool scales_loss = std::is_same_v<precision, tenon::precision::fp16>;
  /// Whether the step is one of several ranks; decided here, so that the step of one process has no trace of it.
  static constexpr bool on_ranks = parallel::has_ranks<decltype(R.parallel)>;
  /// Whether the step runs on a GPU.
  static constexpr bool on_device = requires { requires engine_type::on_device; };
  /// Whether a rate depends on what the step before found out (a schedule with state).
  static constexpr bool schedule_follows = state_of<std::remove_cvref_t<decltype(R.schedule)>>::exists;
  using ranks_type = typename parallel::ranks_of<std::remove_cvref_t<decltype(R.parallel)>, engine_type, precision::plan.reduce>::type;

  /// `total`: steps of the horizon, resolved against the data. `group`: the ranks, where there are several.
  template <class... Group>
  trainer(recipe_type const& r, int members, steps total, Group&... group)
      : recipe_(r),
        total_(total),
        team_(team_of(members)),
        team_size_(team_.threads()),
        engine_(maker::template make<R>(r, R.batch.micro.count * R.batch.sequence.count, members)),
        optimizer_(optim::start_state<optimizer>(engine_.size())),
        policies_(r),
        regions_(optim::regions(engine_.places(), engine_.size()), engine_.size(), optim::chunk),
        with_gradient_(optim::with_gradient(engine_.places(), engine_.size()), engine_.size(), optim::chunk),
        squares_(std::size_t(optim::num_chunks(engine_.size()))),
        ranks_(make_ranks(r, members, group...)) {
    engine_.initialise(r.seed.value, initial_deviation(r.model));
    if constexpr (on_device) {
      optim::loss_scale* scale = nullptr;
      if constexpr (scales_loss) scale = &scaler();
      engine_.attach(optimizer_, scale);
    } else {
      auto prepare = [](int) { exec::cpu::prepare_library<typename engine_type::compute>(); };
      team_.run(prepare);
    }
  }

  recipe_type const& recipe() const { return recipe_; }
  ranks_type& ranks() { return ranks_; }
  engine_type const& engine() const { return engine_; }
  engine_type& engine() { return engine_; }
  exec::cpu::team& team() { return team_; }
  /// Runs a step's region on as many threads as such steps are fastest on. The ranks of a run wait for each other, so that
  /// a rank's time says nothing about its own threads: there it is all of them.
  template <class F>
  void run_step(F& region) {
    if constexpr (on_ranks) return team_.run(region);
    using clock = std::chrono::steady_clock;
    auto const begin = clock::now();
    team_.limit(team_size_.members());
    team_.run(region);
    team_size_.took(std::chrono::duration<double>(clock::now() - begin).count());
  }
  typename optimizer::state& optimizer_state() { return optimizer_; }
  optim::regions_by_chunk const& regions() const { return regions_; }
  optim::regions_by_chunk const& with_gradient() const { return with_gradient_; }
  /// The state of one policy, such as policy_state<precision::fp16>().
  template <class Policy>
  auto& policy_state() {
    return static_cast<policy_slot<Policy>&>(policies_).value;
  }
  optim::loss_scale& scaler() requires scales_loss { return policy_state<precision>(); }
  double loss_scale() const {
    if constexpr (scales_loss)
      return static_cast<policy_slot<precision> const&>(policies_).value.scale;
    else
      return 1;
  }
  train::progress const& progress() const { return progress_; }
  steps total() const { return total_; }
  static constexpr std::int64_t micro_samples() { return R.batch.micro.count; }

  /// Rate of the update that comes next: a function of the step, and of the schedule's state where it keeps one.
  double learning_rate() const { return learning_rate_after(0); }
  /// The same, `ahead` steps later.
  double learning_rate_after(std::int64_t ahead) const {
    using schedule = std::remove_cvref_t<decltype(R.schedule)>;
    double const rate = recipe_.schedule.at(steps{progress_.step + ahead}, total_, tokens_per_step(recipe_.batch));
    if constexpr (requires(policy_slot<schedule> const& slot) { R.schedule.adjusted(rate, slot.value); })
      return recipe_.schedule.adjusted(rate, static_cast<policy_slot<schedule> const&>(policies_).value);
    else
      return rate;
  }
  /// Sum of squares of one chunk of the gradient.
  double& squares(std::int64_t chunk) { return squares_[std::size_t(chunk)]; }
  /// Norm of the unscaled gradient, added up in the order of the chunks.
  double norm() const {
    double total = 0;
    for (double s : squares_) total += s;
    return std::sqrt(total) / loss_scale();
  }
  /// After a step: progress, and the policies whose state follows the run (`end_of_step(state, report)`).
  template <class Report>
  void advance(data::micro_batch const& batch, Report const& report) {
    ++progress_.step;
    progress_.tokens += report.count;
    progress_.cursor = batch.next;
    for_each_axis(recipe_, [&](auto, auto const& policy) {
      using policy_type = std::remove_cvref_t<decltype(policy)>;
      if constexpr (state_of<policy_type>::exists)
        if constexpr (requires { policy.end_of_step(policy_state<policy_type>(), report); })
          policy.end_of_step(policy_state<policy_type>(), report);
    });
  }

  /// Everything that a checkpoint must hold, as a typed list computed from the types of what is here.
  auto components() {
    if constexpr (on_device) engine_.bring_home();
    return components_of<engine_type, optimizer>(engine_, optimizer_, progress_, policies_);
  }

 private:
  /// How many threads of ours work: all, except where an engine brings its own.
  static constexpr int team_of(int members) {
    if constexpr (requires { maker::team_of(members); })
      return maker::team_of(members);
    else
      return members;
  }
  template <class... Group>
  ranks_type make_ranks(recipe_type const& r, int members, Group&... group) {
    static_assert(sizeof...(group) == (on_ranks ? 1 : 0), "a trainer on ranks takes their group; one alone takes none");
    if constexpr (on_ranks)
      return ranks_type(group..., engine_, parallel::replicas_of(r.parallel), members);
    else
      return {};
  }
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
  team_size team_size_;
  engine_type engine_;
  // Training state, all of it in components().
  typename optimizer::state optimizer_;
  policy_states<recipe_type> policies_;
  train::progress progress_;
  // Rebuilt, or overwritten before it is read.
  optim::regions_by_chunk regions_, with_gradient_;
  std::vector<double> squares_;
  ranks_type ranks_;
};

/// For a recipe that breaks a rule: its sentence, and nothing of a trainer is instantiated. What is done with one is
/// silent, so that one mistake gives one error.
template <auto const& R>
requires(!is_legal(R)) class trainer<R> : public checked<R> {
 public:
  static constexpr bool refused = true;
  template <class... Arguments>
  explicit trainer(Arguments const&...) {}
};

}  // namespace tenon::train

namespace tenon {

/// trainer<pro>: a run's whole state and its step, for programs that write the loop themselves.
template <auto const& R>
using trainer = train::trainer<R>;

}  // namespace tenon
