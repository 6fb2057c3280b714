#pragma once
#include <algorithm>
#include <array>
#include <concepts>

#include "tenon/recipe/expert_model.hpp"
#include "tenon/recipe/parallel.hpp"
#include "tenon/recipe/rules/rule.hpp"
#include "tenon/recipe/run_policies.hpp"

/// Rules about what of the model is trained.
namespace tenon::rules {

/// Rows or columns of the narrowest matrix that trainable::lora would adapt; 0 where the model's numbers give none.
template <class Model, class Lora>
constexpr int narrowest_adapted(Model const& m, Lora const& t) {
  int least = 0;
  auto const look = [&](int width) { least = least == 0 || (width > 0 && width < least) ? width : least; };
  if (t.attention) {
    look(m.hidden);
    if constexpr (is_dense_decoder<Model>) {
      if (m.heads > 0) look(m.kv() * (m.hidden / m.heads));
    } else {
      look(m.latent_rank), look(m.heads * (m.nope_dim + m.rope_dim)), look(m.heads * (m.nope_dim + m.value_dim));
      look(m.heads * m.value_dim), look(m.query_rank);
    }
  }
  if (t.feed_forward) {
    look(m.hidden);
    if constexpr (is_dense_decoder<Model>)
      look(m.intermediate);
    else
      look(m.dense_layers > 0 ? int(m.intermediate) : 0), look(m.shared * m.expert_intermediate);
  }
  return least;
}

template <class Trainable>
inline constexpr bool is_lora = false;
template <>
inline constexpr bool is_lora<trainable::lora> = true;
template <class Trainable>
inline constexpr bool is_frozen = false;
template <>
inline constexpr bool is_frozen<trainable::frozen> = true;
template <class R>
using trainable_of = decltype(R::trainable);

struct lora_names_roles : rule<layer::shape, axis::trainable> {
#define TENON_TEXT                                                                                      \
  "[tenon.lora_names_roles] trainable::lora adapts neither attention nor feed_forward, so there would " \
  "be nothing to train. Leave .attention or .feed_forward at true"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = is_lora<trainable_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.trainable.attention || r.trainable.feed_forward;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"trainable.attention", int(r.trainable.attention)},
                      finding{"trainable.feed_forward", int(r.trainable.feed_forward)}};
  }
};

struct lora_rank_fits : rule<layer::shape, axis::model, axis::trainable> {
#define TENON_TEXT                                                                                         \
  "[tenon.lora_rank_fits] trainable.rank is below 1, or not below the width of the narrowest matrix that " \
  "it adapts, where an adapter would be larger than what it adapts. Write a small rank such as .rank = 8"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = (is_lora<trainable_of<R>> && is_decoder<model_of<R>>);
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    int const least = narrowest_adapted(r.model, r.trainable);
    return r.trainable.rank >= 1 && (least <= 0 || r.trainable.rank < least);
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"trainable.rank", r.trainable.rank},
                      finding{"narrowest width", narrowest_adapted(r.model, r.trainable)}};
  }
};

struct lora_alpha_positive : rule<layer::numbers, axis::trainable> {
#define TENON_TEXT                                                                                    \
  "[tenon.lora_alpha_positive] trainable.alpha must be above 0: at 0 adapters would change nothing. " \
  "Write .alpha = 32, or twice the rank"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = is_lora<trainable_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.trainable.alpha > 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"trainable.alpha", r.trainable.alpha.get()}};
  }
  template <auto const& R>
  using refusal = with<(R.trainable.alpha.get() > 0)>;
};

struct frozen_leaves_some : rule<layer::shape, axis::model, axis::trainable> {
#define TENON_TEXT                                                                                        \
  "[tenon.frozen_leaves_some] trainable::frozen freezes every matrix of the model, so nothing but a few " \
  "vectors would be trained. Leave .embedding, .attention or .feed_forward at false, or write "           \
  "trainable::lora{}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = is_frozen<trainable_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    bool const experts_too = !is_expert_decoder<model_of<R>> || r.trainable.experts;
    return !(r.trainable.embedding && r.trainable.attention && r.trainable.feed_forward && experts_too);
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"trainable.embedding", int(r.trainable.embedding)},
                      finding{"trainable.attention", int(r.trainable.attention)},
                      finding{"trainable.feed_forward", int(r.trainable.feed_forward)}};
  }
};

struct trainable_static_layers : rule<layer::shape, axis::model, axis::trainable> {
#define TENON_TEXT                                                                                             \
  "[tenon.trainable_static_layers] the model runs under LibTorch's autograd, and only tenon's own layers can " \
  "be frozen or adapted by their role. Write trainable::all{} and set requires_grad in the module, or use a "  \
  "model such as model::deepseek_llm"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = trainable::keeps_a_base<trainable_of<R>>;
  template <class R>
  static constexpr bool holds(R const&, known = {}) {
    return !is_foreign_module<model_of<R>>;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model", r.model.kind}, finding{"trainable", r.trainable.kind}};
  }
};

struct trainable_on_one_rank : rule<layer::shape, axis::trainable, axis::parallel> {
#define TENON_TEXT                                                                                            \
  "[tenon.trainable_on_one_rank] a part of the weights stays as it is, and the ranks of a data-parallel run " \
  "exchange the gradients of all of them. Write tenon::parallel::single{}, or tenon::trainable::all{}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = trainable::keeps_a_base<trainable_of<R>>;
  template <class R>
  static constexpr bool holds(R const&, known = {}) {
    return !parallel::has_ranks<parallel_of<R>>;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"trainable", r.trainable.kind}, finding{"parallel", r.parallel.kind}};
  }
};

struct trainable_without_modules : rule<layer::shape, axis::model, axis::trainable> {
#define TENON_TEXT                                                                                              \
  "[tenon.trainable_without_modules] a part of the weights stays as it is, and modules of multi-token "         \
  "prediction, which few model directories hold, would be trained against it or stay at random numbers. Write " \
  ".mtp_modules = 0, which leaves those of a directory out, or tenon::trainable::all{}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies =
      trainable::keeps_a_base<trainable_of<R>>&& std::same_as<model_of<R>, model::deepseek_v3>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.model.mtp_modules <= 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"trainable", r.trainable.kind}, finding{"model.mtp_modules", r.model.mtp_modules}};
  }
};

using trainable_rules = list<trainable_static_layers, trainable_on_one_rank, trainable_without_modules,
                             lora_names_roles, lora_rank_fits, frozen_leaves_some, lora_alpha_positive>;

}  // namespace tenon::rules
