#pragma once
#include <concepts>

#include "tenon/recipe/optimizer.hpp"
#include "tenon/recipe/rules/rule.hpp"

/// Rules about the optimizer.
namespace tenon::rules {

struct betas_in_range : rule<layer::numbers, axis::optimizer> {
#define TENON_TEXT                                                                                   \
  "[tenon.betas_in_range] optimizer::adamw needs beta1 and beta2 from 0 up to but not 1, where the " \
  "bias correction would divide by zero. Leave them out for 0.9 and 0.95"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = std::same_as<optimizer_of<R>, optimizer::adamw>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.optimizer.beta1 >= 0 && r.optimizer.beta1 < 1 && r.optimizer.beta2 >= 0 && r.optimizer.beta2 < 1;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"optimizer.beta1", r.optimizer.beta1}, finding{"optimizer.beta2", r.optimizer.beta2}};
  }
  template <auto const& R>
  using refusal =
      with<(R.optimizer.beta1 >= 0 && R.optimizer.beta1 < 1), (R.optimizer.beta2 >= 0 && R.optimizer.beta2 < 1)>;
};

struct optimizer_in_range : rule<layer::numbers, axis::optimizer> {
#define TENON_TEXT                                                                                      \
  "[tenon.optimizer_in_range] a field of the optimizer is outside its range: epsilon above 0, "         \
  "weight_decay and clip not negative (0 switches them off), momentum from 0 up to but not 1. Correct " \
  "that field"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies =
      std::same_as<optimizer_of<R>, optimizer::adamw> || std::same_as<optimizer_of<R>, optimizer::sgd>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    if constexpr (std::same_as<optimizer_of<R>, optimizer::sgd>) {
      if (!(r.optimizer.momentum >= 0 && r.optimizer.momentum < 1)) return false;
    } else {
      if (!(r.optimizer.epsilon > 0)) return false;
    }
    return r.optimizer.weight_decay >= 0 && r.optimizer.clip >= 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"optimizer", r.optimizer.kind}};
  }
  template <auto const& R>
  using refusal = with<(R.optimizer.weight_decay >= 0), (R.optimizer.clip >= 0)>;
};

struct nesterov_needs_momentum : rule<layer::numbers, axis::optimizer> {
#define TENON_TEXT                                                                                     \
  "[tenon.nesterov_needs_momentum] optimizer::sgd with nesterov has no momentum to look ahead along. " \
  "Give .momentum = 0.9, or leave out .nesterov"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = std::same_as<optimizer_of<R>, optimizer::sgd>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return !r.optimizer.nesterov || r.optimizer.momentum != 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"optimizer.momentum", r.optimizer.momentum}};
  }
};

/// An optimizer of ours, whose moments may be named narrower.
template <class Optimizer>
inline constexpr bool names_moments = std::same_as<Optimizer, optimizer::adamw> || std::same_as<Optimizer, optimizer::sgd>;

struct moment_has_code : rule<layer::shape, axis::optimizer> {
#define TENON_TEXT                                                                                         \
  "[tenon.moment_has_code] optimizer.moment is a format that moments are not kept in: squares of small "  \
  "gradients become zero in fp16 and fp8. Write .moment = tenon::dtype::bf16, or leave it out for fp32"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = names_moments<optimizer_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.optimizer.moment == dtype::fp32 || r.optimizer.moment == dtype::bf16;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"optimizer.moment", name_of(r.optimizer.moment)}};
  }
  template <auto const& R>
  using refusal = with<R.optimizer.moment.get()>;
};

/// bf16 keeps 8 significant bits, so half a unit in the last place is between 1/512 and 1/256 of a value; a moment that
/// decays by less than that in a step is rounded back to what it was.
struct narrow_moments_move : rule<layer::numbers, axis::optimizer> {
#define TENON_TEXT                                                                                              \
  "[tenon.narrow_moments_move] optimizer.moment is bf16, whose 8 bits round away what a beta or momentum above " \
  "0.995 changes in a step, so the moments would stand still. Write .beta2 = 0.95 (or another up to 0.995), or " \
  ".moment = tenon::dtype::fp32"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  static constexpr double most = 0.995;
  template <class R>
  static constexpr bool applies = names_moments<optimizer_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    if (r.optimizer.moment != dtype::bf16) return true;
    if constexpr (std::same_as<optimizer_of<R>, optimizer::adamw>)
      return r.optimizer.beta1 <= most && r.optimizer.beta2 <= most;
    else
      return r.optimizer.momentum <= most;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    if constexpr (std::same_as<optimizer_of<R>, optimizer::adamw>)
      return std::array{finding{"optimizer.beta1", r.optimizer.beta1}, finding{"optimizer.beta2", r.optimizer.beta2}};
    else
      return std::array{finding{"optimizer.momentum", r.optimizer.momentum}};
  }
};

/// An optimizer with a field that means the learning rate.
template <class Optimizer>
concept has_learning_rate = requires(Optimizer const o) {
  o.lr;
}
|| requires(Optimizer const o) { o.rate; }
|| requires(Optimizer const o) { o.learning_rate; }
|| requires(Optimizer const o) { o.peak; };

struct one_learning_rate : rule<layer::shape, axis::optimizer> {
#define TENON_TEXT                                                                                      \
  "[tenon.one_learning_rate] the optimizer has a learning rate of its own, but the rate of every step " \
  "is the schedule's, so this one would be ignored. Take the field out of the optimizer and write "     \
  "schedule::constant{.peak = ...}, or another schedule"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const&, known = {}) {
    return !has_learning_rate<optimizer_of<R>>;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"optimizer", r.optimizer.kind}};
  }
};

using optimizer_rules = list<one_learning_rate, moment_has_code, betas_in_range, optimizer_in_range,
                             nesterov_needs_momentum, narrow_moments_move>;

}  // namespace tenon::rules
