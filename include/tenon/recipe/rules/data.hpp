#pragma once
#include <concepts>

#include "tenon/recipe/data.hpp"
#include "tenon/recipe/rules/rule.hpp"

/// Rules about data.
namespace tenon::rules {

struct tokenizer_within_vocab {
  static constexpr std::string_view id = "tokenizer_within_vocab";
#define TENON_TEXT                                                                                       \
  "[tenon.tokenizer_within_vocab] data.tokenizer_vocab is larger than model.vocab, so some tokens "      \
  "would have no row in the embedding. Make it at most model.vocab; the model may be padded, never the " \
  "tokenizer"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <class R>
  static constexpr bool applies = std::same_as<decltype(R::data), data::corpus>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.data.tokenizer_vocab >= 0 && r.data.tokenizer_vocab <= r.model.vocab;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"data.tokenizer_vocab", as_number(r.data.tokenizer_vocab)},
                      finding{"model.vocab", as_number(r.model.vocab)}};
  }
  template <auto... Values>
  struct with {
    static constexpr bool keeps_the_rule = never<Values...>;
    static_assert(keeps_the_rule, TENON_TEXT);
  };
#undef TENON_TEXT
  template <auto const& R>
  using refusal = with<R.data.tokenizer_vocab.get(), R.model.vocab.get()>;
};

struct tokenizer_covers_bytes {
  static constexpr std::string_view id = "tokenizer_covers_bytes";
#define TENON_TEXT                                                                                       \
  "[tenon.tokenizer_covers_bytes] the tokenizer would have fewer than 257 entries, but byte-level BPE "  \
  "needs one for each byte and one between documents. Raise data.tokenizer_vocab, or model.vocab where " \
  "that is left out"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <class R>
  static constexpr bool applies = std::same_as<decltype(R::data), data::corpus>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.model.vocab <= 0 || r.data.tokenizer_vocab < 0 || data::tokenizer_entries(r.data, r.model.vocab) >= 257;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"data.tokenizer_vocab", as_number(r.data.tokenizer_vocab)},
                      finding{"model.vocab", as_number(r.model.vocab)}};
  }
  template <auto... Values>
  struct with {
    static constexpr bool keeps_the_rule = never<Values...>;
    static_assert(keeps_the_rule, TENON_TEXT);
  };
#undef TENON_TEXT
  template <auto const& R>
  using refusal = with<R.data.tokenizer_vocab.get(), R.model.vocab.get()>;
};

struct held_out_in_range {
  static constexpr std::string_view id = "held_out_in_range";
#define TENON_TEXT                                                                                      \
  "[tenon.held_out_in_range] data.held_out is a share of the documents, from 0 up to but not 1, where " \
  "nothing would be left to train on. Write .held_out = 0.05"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <class R>
  static constexpr bool applies = std::same_as<decltype(R::data), data::corpus>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.data.held_out >= 0 && r.data.held_out < 1;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"data.held_out", as_number(r.data.held_out)}};
  }
  template <auto... Values>
  struct with {
    static constexpr bool keeps_the_rule = never<Values...>;
    static_assert(keeps_the_rule, TENON_TEXT);
  };
#undef TENON_TEXT
  template <auto const& R>
  using refusal = with < R.data.held_out >= 0,
        R.data.held_out<1>;
};

using data_rules = list<tokenizer_within_vocab, tokenizer_covers_bytes, held_out_in_range>;

}  // namespace tenon::rules
