#pragma once
#include <array>

#include "tenon/recipe/curriculum.hpp"
#include "tenon/recipe/data.hpp"
#include "tenon/recipe/horizon.hpp"
#include "tenon/recipe/rules/rule.hpp"

/// Rules about data.
namespace tenon::rules {

struct tokenizer_within_vocab : rule<layer::shape, axis::model, axis::data> {
#define TENON_TEXT                                                                                       \
  "[tenon.tokenizer_within_vocab] data.tokenizer_vocab is larger than model.vocab, so some tokens "      \
  "would have no row in the embedding. Make it at most model.vocab; the model may be padded, never the " \
  "tokenizer"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = data::reads_text<decltype(R::data)>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.data.tokenizer_vocab >= 0 && r.data.tokenizer_vocab <= r.model.vocab;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"data.tokenizer_vocab", r.data.tokenizer_vocab}, finding{"model.vocab", r.model.vocab}};
  }
};

struct tokenizer_covers_bytes : rule<layer::shape, axis::model, axis::data> {
#define TENON_TEXT                                                                                       \
  "[tenon.tokenizer_covers_bytes] the tokenizer would have fewer than 257 entries, but byte-level BPE "  \
  "needs one for each byte and one between documents. Raise data.tokenizer_vocab, or model.vocab where " \
  "that is left out"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = data::reads_text<decltype(R::data)>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.model.vocab <= 0 || r.data.tokenizer_vocab < 0 || data::tokenizer_entries(r.data, r.model.vocab) >= 257;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"data.tokenizer_vocab", r.data.tokenizer_vocab}, finding{"model.vocab", r.model.vocab}};
  }
};

struct held_out_in_range : rule<layer::numbers, axis::data> {
#define TENON_TEXT                                                                                      \
  "[tenon.held_out_in_range] data.held_out is a share of the documents, from 0 up to but not 1, where " \
  "nothing would be left to train on. Write .held_out = 0.05"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = data::reads_text<decltype(R::data)>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.data.held_out >= 0 && r.data.held_out < 1;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"data.held_out", r.data.held_out}};
  }
  template <auto const& R>
  using refusal = with < R.data.held_out >= 0,
        R.data.held_out<1>;
};

struct mixture_weights_in_range : rule<layer::numbers, axis::data> {
#define TENON_TEXT                                                                                               \
  "[tenon.mixture_weights_in_range] a weight of the mixture is not above 0, or below one part in 1024 of their " \
  "sum, so its source would never be seen. Write weights such as tenon::data::mixed({0.7, 0.3}), one for each "  \
  "--data path, or leave the source out"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = data::is_mixture<decltype(R::data)>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return data::first_bad_weight(r.data) < 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    auto const bad = data::first_bad_weight(r.data);
    return std::array{finding{"weight out of range, counted from 0", bad},
                      finding{"its value", r.data.weights[bad < 0 ? 0 : static_cast<std::size_t>(bad)]}};
  }
};

struct mixture_has_no_epochs : rule<layer::numbers, axis::horizon, axis::data> {
#define TENON_TEXT                                                                                          \
  "[tenon.mixture_has_no_epochs] the horizon counts epochs, but the sources of a mixture begin again each " \
  "at its own time, so an epoch of the whole is not defined. Give the horizon in steps, tokens or samples"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = data::is_mixture<decltype(R::data)>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.horizon.in != horizon::unit::epochs;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"horizon in epochs", r.horizon}};
  }
};

struct mixture_without_curriculum : rule<layer::shape, axis::data, axis::curriculum> {
#define TENON_TEXT                                                                                             \
  "[tenon.mixture_without_curriculum] the recipe has a mixture and the stages of a curriculum, and stages of " \
  "several sources at once are not possible yet. Write tenon::curriculum::none{}, or one tenon::data::corpus{}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = (data::is_mixture<decltype(R::data)> &&
                                   curriculum::has_stages<decltype(R::curriculum)>);
  template <class R>
  static constexpr bool holds(R const&, known = {}) {
    return false;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"sources", r.data.size}, finding{"stages", r.curriculum.size}};
  }
};

using data_rules = list<tokenizer_within_vocab, tokenizer_covers_bytes, held_out_in_range, mixture_weights_in_range,
                        mixture_has_no_epochs, mixture_without_curriculum>;

}  // namespace tenon::rules
