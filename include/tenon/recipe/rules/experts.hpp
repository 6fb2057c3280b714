#pragma once
#include "tenon/recipe/expert_model.hpp"
#include "tenon/recipe/rules/rule.hpp"

/// Rules about the shape of models with latent attention and experts.
namespace tenon::rules {

struct latent_fields_given : rule<layer::shape, axis::model> {
#define TENON_TEXT                                                                                            \
  "[tenon.latent_fields_given] a width of the model was left out or is negative: hidden, layers, heads, "     \
  "latent_rank, nope_dim, rope_dim, value_dim, intermediate and positions must be at least 1, latent_rank at " \
  "most 8'192, rope_dim even and query_rank at least 0. Give each, such as .hidden = 2'048, .layers = 27, .heads = 16, .latent_rank = " \
  "512, .nope_dim = 128, .rope_dim = 64, .value_dim = 128, .intermediate = 10'944"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = is_expert_decoder<model_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    auto const& m = r.model;
    return m.hidden > 0 && m.layers > 0 && m.heads > 0 && m.latent_rank > 0 && m.latent_rank <= 8192 && m.nope_dim > 0 && m.rope_dim > 0 &&
           m.rope_dim % 2 == 0 && m.value_dim > 0 && m.intermediate > 0 && m.positions > 0 && m.query_rank >= 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    auto const& m = r.model;
    return std::array{finding{"model.hidden", m.hidden},           finding{"model.layers", m.layers},
                      finding{"model.heads", m.heads},             finding{"model.query_rank", m.query_rank},
                      finding{"model.latent_rank", m.latent_rank}, finding{"model.nope_dim", m.nope_dim},
                      finding{"model.rope_dim", m.rope_dim},       finding{"model.value_dim", m.value_dim},
                      finding{"model.intermediate", m.intermediate}, finding{"model.positions", m.positions}};
  }
};

struct experts_given : rule<layer::shape, axis::model> {
#define TENON_TEXT                                                                                              \
  "[tenon.experts_given] model.experts, chosen, shared and expert_intermediate must be at least 1, "            \
  "chosen at most experts, and dense_layers from 0 to layers - 1, so that some block has experts. Give each, " \
  "such as .experts = 64, .chosen = 6, .shared = 2, .expert_intermediate = 1'408, .dense_layers = 1; for a "    \
  "model without experts use model::deepseek_llm"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = is_expert_decoder<model_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    auto const& m = r.model;
    return m.experts > 0 && m.chosen > 0 && m.chosen <= m.experts && m.shared > 0 && m.expert_intermediate > 0 &&
           m.dense_layers >= 0 && m.dense_layers < m.layers;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    auto const& m = r.model;
    return std::array{finding{"model.experts", m.experts},
                      finding{"model.chosen", m.chosen},
                      finding{"model.shared", m.shared},
                      finding{"model.expert_intermediate", m.expert_intermediate},
                      finding{"model.dense_layers", m.dense_layers},
                      finding{"model.layers", m.layers}};
  }
};

struct groups_fit : rule<layer::shape, axis::model> {
#define TENON_TEXT                                                                                              \
  "[tenon.groups_fit] the groups of experts do not work out: groups must divide experts, chosen_groups be from " \
  "1 to groups, and the chosen groups hold chosen experts or more; V3 adds the two best of a group, which then " \
  "has two or more. Write .groups = 1, .chosen_groups = 1 to choose among all experts"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = is_expert_decoder<model_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    auto const& m = r.model;
    if (m.groups < 1 || m.experts % m.groups != 0 || m.chosen_groups < 1 || m.chosen_groups > m.groups) return false;
    int const size = m.experts / m.groups;
    bool const best_two = std::same_as<model_of<R>, model::deepseek_v3>;
    return m.chosen <= m.chosen_groups * size && (!best_two || m.groups == 1 || size >= 2);
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model.experts", r.model.experts}, finding{"model.groups", r.model.groups},
                      finding{"model.chosen_groups", r.model.chosen_groups}, finding{"model.chosen", r.model.chosen}};
  }
};

struct router_in_range : rule<layer::numbers, axis::model> {
#define TENON_TEXT                                                                                              \
  "[tenon.router_in_range] model.routed_scale must be above 0, and the weights of balance losses and the rate " \
  "of the router's bias not negative (0 switches them off). Leave them out for the published ones"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = is_expert_decoder<model_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    auto const& m = r.model;
    if constexpr (std::same_as<model_of<R>, model::deepseek_v3>)
      return m.routed_scale > 0 && m.bias_rate >= 0 && m.sequence_balance >= 0;
    else
      return m.routed_scale > 0 && m.expert_balance >= 0 && m.device_balance >= 0 && m.exchange_balance >= 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    auto const& m = r.model;
    if constexpr (std::same_as<model_of<R>, model::deepseek_v3>)
      return std::array{finding{"model.routed_scale", m.routed_scale}, finding{"model.bias_rate", m.bias_rate},
                        finding{"model.sequence_balance", m.sequence_balance}};
    else
      return std::array{finding{"model.routed_scale", m.routed_scale}, finding{"model.expert_balance", m.expert_balance},
                        finding{"model.device_balance", m.device_balance},
                        finding{"model.exchange_balance", m.exchange_balance}};
  }
};

struct mtp_in_range : rule<layer::numbers, axis::model, axis::batch> {
#define TENON_TEXT                                                                                                \
  "[tenon.mtp_in_range] model.mtp_modules must be from 0 to batch.sequence - 2, since the k-th module predicts "  \
  "k tokens beyond the next one and needs so many in a sample, and model.mtp_weight not negative. Write "        \
  ".mtp_modules = 1, .mtp_weight = 0.3 as DeepSeek-V3 does, or leave both out to train without"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = std::same_as<model_of<R>, model::deepseek_v3>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    auto const& m = r.model;
    return m.mtp_modules >= 0 && m.mtp_weight >= 0 &&
           (m.mtp_modules == 0 || r.batch.sequence.count < 1 || m.mtp_modules < r.batch.sequence.count - 1);
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model.mtp_modules", r.model.mtp_modules}, finding{"model.mtp_weight", r.model.mtp_weight},
                      finding{"batch.sequence", r.batch.sequence}};
  }
};

using expert_rules = list<latent_fields_given, experts_given, groups_fit, router_in_range, mtp_in_range>;

}  // namespace tenon::rules
