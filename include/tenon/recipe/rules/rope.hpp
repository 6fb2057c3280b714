#pragma once
#include "tenon/recipe/model.hpp"
#include "tenon/recipe/rules/rule.hpp"

/// Rules about rotary scaling, for every model that has it.
namespace tenon::rules {

template <class Model>
inline constexpr bool scales_rope = requires(Model const& m) {
  m.rope_scaling.factor;
};

struct rope_scaling_given : rule<layer::shape, axis::model> {
#define TENON_TEXT                                                                                            \
  "[tenon.rope_scaling_given] model.rope_scaling has a factor without a type, or is llama3 or yarn without "  \
  "the length that was trained first. Give .type = rope_type::linear, llama3 or yarn with .factor, and for "  \
  "the last two .original, such as {.type = rope_type::yarn, .factor = 40, .original = 4'096}, or leave "     \
  "rope_scaling out"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = scales_rope<model_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    auto const& s = r.model.rope_scaling;
    if (s.type == model::rope_type::none) return s.factor == 1;
    return s.type == model::rope_type::linear || s.original > 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model.rope_scaling.type", int(r.model.rope_scaling.type.get())},
                      finding{"model.rope_scaling.factor", r.model.rope_scaling.factor},
                      finding{"model.rope_scaling.original", r.model.rope_scaling.original}};
  }
};

struct rope_scaling_in_range : rule<layer::numbers, axis::model> {
#define TENON_TEXT                                                                                         \
  "[tenon.rope_scaling_in_range] a number of model.rope_scaling is outside its range: factor at least 1, " \
  "low_freq_factor above 0 and below high_freq_factor, beta_slow above 0 and below beta_fast, mscale, "    \
  "mscale_all_dim and attention_factor not negative. Correct it; the defaults are 1, 1 and 4, 1 and 32, 0"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = scales_rope<model_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    auto const& s = r.model.rope_scaling;
    return s.factor >= 1 && s.low_freq_factor > 0 && s.low_freq_factor < s.high_freq_factor && s.beta_slow > 0 &&
           s.beta_slow < s.beta_fast && s.mscale >= 0 && s.mscale_all_dim >= 0 && s.attention_factor >= 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    auto const& s = r.model.rope_scaling;
    return std::array{finding{"model.rope_scaling.factor", s.factor},
                      finding{"model.rope_scaling.low_freq_factor", s.low_freq_factor},
                      finding{"model.rope_scaling.high_freq_factor", s.high_freq_factor},
                      finding{"model.rope_scaling.beta_slow", s.beta_slow},
                      finding{"model.rope_scaling.beta_fast", s.beta_fast}};
  }
};

using rope_rules = list<rope_scaling_given, rope_scaling_in_range>;

}  // namespace tenon::rules
