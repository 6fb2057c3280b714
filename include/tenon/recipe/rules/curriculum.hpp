#pragma once
#include "tenon/recipe/curriculum.hpp"
#include "tenon/recipe/horizon.hpp"
#include "tenon/recipe/rules/rule.hpp"

/// Rules about curricula.
namespace tenon::rules {

/// The value: the stage out of order, counted from 0.
struct stages_in_order : rule<layer::numbers, axis::curriculum> {
#define TENON_TEXT                                                                                     \
  "[tenon.stages_in_order] a stage of the curriculum ends before or where the one before it ends, or " \
  "counts in another unit, so it would never run. List the stages by rising .until, all in epochs or " \
  "all in steps"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = curriculum::has_stages<decltype(R::curriculum)>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return curriculum::first_out_of_order(r.curriculum) < 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"stage out of order, counted from 0", curriculum::first_out_of_order(r.curriculum)}};
  }
};

/// The value: the stage out of range, counted from 0.
struct stage_difficulty_in_range : rule<layer::numbers, axis::curriculum> {
#define TENON_TEXT                                                                                  \
  "[tenon.stage_difficulty_in_range] a stage of the curriculum has a difficulty range that is not " \
  "inside 0 to 1 or is empty. Give .low below .high, both from 0 to 1"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = curriculum::has_stages<decltype(R::curriculum)>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return curriculum::first_out_of_range(r.curriculum) < 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"stage out of range, counted from 0", curriculum::first_out_of_range(r.curriculum)}};
  }
};

/// The value: the number of stages.
struct stages_without_gap : rule<layer::numbers, axis::curriculum> {
#define TENON_TEXT                                                                                      \
  "[tenon.stages_without_gap] the difficulty ranges of the curriculum leave a gap between 0 and 1, so " \
  "some documents would never be seen. Widen the ranges until they meet, and let them begin at 0 and "  \
  "end at 1"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = curriculum::has_stages<decltype(R::curriculum)>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return curriculum::first_out_of_range(r.curriculum) >= 0 || curriculum::first_gap(r.curriculum) >= 1;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"gap begins at difficulty", curriculum::first_gap(r.curriculum)}};
  }
};

struct stages_reach_horizon : rule<layer::numbers, axis::horizon, axis::batch, axis::curriculum> {
#define TENON_TEXT                                                                                       \
  "[tenon.stages_reach_horizon] the last stage of the curriculum ends before the run does, and nothing " \
  "says which documents follow. Raise its .until to the horizon, or shorten the horizon"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = curriculum::has_stages<decltype(R::curriculum)>;
  template <class R>
  static constexpr bool holds(R const& r, known k = {}) {
    return curriculum::reaches(r.curriculum, r.horizon, total_steps(r.horizon, r.batch, k.samples_per_epoch));
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"last stage ends at", r.curriculum.list.back().until}, finding{"horizon", r.horizon}};
  }
};

using curriculum_rules = list<stages_in_order, stage_difficulty_in_range, stages_without_gap, stages_reach_horizon>;

}  // namespace tenon::rules
