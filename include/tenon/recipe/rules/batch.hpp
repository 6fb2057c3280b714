#pragma once
#include "tenon/recipe/batch.hpp"
#include "tenon/recipe/expert_model.hpp"
#include "tenon/recipe/rules/rule.hpp"

/// Rules about the batch.
namespace tenon::rules {

struct batch_given : rule<layer::numbers, axis::batch> {
#define TENON_TEXT                                                                                      \
  "[tenon.batch_given] batch.sequence, global and micro must each be at least 1 and below 2^31. Write " \
  "batch{.sequence = 512_tokens, .global = 8_samples, .micro = 4_samples}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    auto const usable = [](std::int64_t n) { return n > 0 && n < std::int64_t{1} << 31; };
    return usable(r.batch.sequence.count) && usable(r.batch.global.count) && usable(r.batch.micro.count);
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"batch.sequence", r.batch.sequence}, finding{"batch.global", r.batch.global},
                      finding{"batch.micro", r.batch.micro}};
  }
};

struct micro_divides_global : rule<layer::numbers, axis::batch> {
#define TENON_TEXT                                                                                       \
  "[tenon.micro_divides_global] batch.micro does not divide batch.global, so the last micro-batch of a " \
  "step would have another size. Choose .global as a multiple of .micro"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.batch.micro.count <= 0 || r.batch.global.count % r.batch.micro.count == 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"batch.global", r.batch.global}, finding{"batch.micro", r.batch.micro}};
  }
};

struct sequence_within_positions : rule<layer::shape, axis::model, axis::batch> {
#define TENON_TEXT                                                                                       \
  "[tenon.sequence_within_positions] batch.sequence is longer than model.positions, so its last tokens " \
  "would have no position. Shorten .sequence, or raise .positions of the model"
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
    return r.batch.sequence.count <= r.model.positions;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"batch.sequence", r.batch.sequence}, finding{"model.positions", r.model.positions}};
  }
};

using batch_rules = list<batch_given, micro_divides_global, sequence_within_positions>;

}  // namespace tenon::rules
