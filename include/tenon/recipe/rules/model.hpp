#pragma once
#include "tenon/recipe/expert_model.hpp"
#include "tenon/recipe/rules/rule.hpp"

/// Rules about the shape of the model.
namespace tenon::rules {

struct vocab_given : rule<layer::shape, axis::model> {
#define TENON_TEXT                                                                                 \
  "[tenon.vocab_given] model.vocab was not given, and the loss needs the number of logits. Write " \
  ".vocab = 32'256 or the size of your tokenizer"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.model.vocab > 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model.vocab", r.model.vocab}};
  }
};

/// The order of the values: hidden, layers, heads, kv_heads, intermediate, positions.
struct model_fields_given : rule<layer::shape, axis::model> {
#define TENON_TEXT                                                                                       \
  "[tenon.model_fields_given] model.hidden, layers, heads, intermediate and positions must be at least " \
  "1 and kv_heads at least 0, but one was left out or is negative. Give each, such as .hidden = 512, "   \
  ".layers = 8, .heads = 8, .intermediate = 1'376"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = is_dense_decoder<model_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.model.hidden > 0 && r.model.layers > 0 && r.model.heads > 0 && r.model.intermediate > 0 &&
           r.model.positions > 0 && r.model.kv_heads >= 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model.hidden", r.model.hidden},
                      finding{"model.layers", r.model.layers},
                      finding{"model.heads", r.model.heads},
                      finding{"model.kv_heads", r.model.kv_heads},
                      finding{"model.intermediate", r.model.intermediate},
                      finding{"model.positions", r.model.positions}};
  }
};

struct heads_divide_hidden : rule<layer::shape, axis::model> {
#define TENON_TEXT                                                                                     \
  "[tenon.heads_divide_hidden] model.heads does not divide model.hidden, so the heads would not have " \
  "one whole width. Choose .heads out of the divisors of .hidden, such as .hidden / 64 or .hidden / "  \
  "128"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = is_dense_decoder<model_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.model.heads <= 0 || r.model.hidden % r.model.heads == 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model.hidden", r.model.hidden}, finding{"model.heads", r.model.heads}};
  }
};

struct kv_heads_divide_heads : rule<layer::shape, axis::model> {
#define TENON_TEXT                                                                                     \
  "[tenon.kv_heads_divide_heads] model.kv_heads does not divide model.heads, so query heads cannot "   \
  "share key and value heads evenly. Choose .kv_heads out of the divisors of .heads, or leave it out " \
  "for one per head"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = is_dense_decoder<model_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.model.kv_heads <= 0 || r.model.heads % r.model.kv_heads == 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model.heads", r.model.heads}, finding{"model.kv_heads", r.model.kv_heads}};
  }
};

struct head_width_even : rule<layer::shape, axis::model> {
#define TENON_TEXT                                                                                     \
  "[tenon.head_width_even] the width of a head, model.hidden / model.heads, is odd, but rotary "       \
  "embedding turns pairs of channels. Choose .hidden and .heads with an even quotient, such as 64 or " \
  "128"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = is_dense_decoder<model_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.model.heads <= 0 || r.model.hidden % r.model.heads != 0 || r.model.head_dim() % 2 == 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model.hidden", r.model.hidden}, finding{"model.heads", r.model.heads},
                      finding{"width of a head", r.model.head_dim()}};
  }
};

struct model_numbers_in_range : rule<layer::numbers, axis::model> {
#define TENON_TEXT                                                                                      \
  "[tenon.model_numbers_in_range] model.rope_theta, norm_eps and init_std must be above 0. Leave them " \
  "out for 10'000, 1e-6 and 0.02"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = is_decoder<model_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.model.rope_theta > 0 && r.model.norm_eps > 0 && r.model.init_std > 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model.rope_theta", r.model.rope_theta}, finding{"model.norm_eps", r.model.norm_eps},
                      finding{"model.init_std", r.model.init_std}};
  }
  template <auto const& R>
  using refusal = with<(R.model.rope_theta.get() > 0), (R.model.norm_eps.get() > 0), (R.model.init_std > 0)>;
};

using model_rules = list<vocab_given, model_fields_given, heads_divide_hidden, kv_heads_divide_heads, head_width_even,
                         model_numbers_in_range>;

}  // namespace tenon::rules
