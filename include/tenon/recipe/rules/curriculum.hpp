#pragma once
#include "tenon/recipe/curriculum.hpp"
#include "tenon/recipe/horizon.hpp"
#include "tenon/recipe/rules/rule.hpp"

/// Rules about curricula.
namespace tenon::rules {

/// The value: the stage out of order, counted from 0.
struct stages_in_order {
  static constexpr std::string_view id = "stages_in_order";
#define TENON_TEXT                                                                                     \
  "[tenon.stages_in_order] a stage of the curriculum ends before or where the one before it ends, or " \
  "counts in another unit, so it would never run. List the stages by rising .until, all in epochs or " \
  "all in steps"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <class R>
  static constexpr bool applies = curriculum::has_stages<decltype(R::curriculum)>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return curriculum::first_out_of_order(r.curriculum) < 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{
        finding{"stage out of order, counted from 0", as_number(curriculum::first_out_of_order(r.curriculum))}};
  }
  template <auto... Values>
  struct with {
    static constexpr bool keeps_the_rule = never<Values...>;
    static_assert(keeps_the_rule, TENON_TEXT);
  };
#undef TENON_TEXT
  template <auto const& R>
  using refusal = with<curriculum::first_out_of_order(R.curriculum)>;
};

/// The value: the stage out of range, counted from 0.
struct stage_difficulty_in_range {
  static constexpr std::string_view id = "stage_difficulty_in_range";
#define TENON_TEXT                                                                                  \
  "[tenon.stage_difficulty_in_range] a stage of the curriculum has a difficulty range that is not " \
  "inside 0 to 1 or is empty. Give .low below .high, both from 0 to 1"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <class R>
  static constexpr bool applies = curriculum::has_stages<decltype(R::curriculum)>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return curriculum::first_out_of_range(r.curriculum) < 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{
        finding{"stage out of range, counted from 0", as_number(curriculum::first_out_of_range(r.curriculum))}};
  }
  template <auto... Values>
  struct with {
    static constexpr bool keeps_the_rule = never<Values...>;
    static_assert(keeps_the_rule, TENON_TEXT);
  };
#undef TENON_TEXT
  template <auto const& R>
  using refusal = with<curriculum::first_out_of_range(R.curriculum)>;
};

/// The value: the number of stages.
struct stages_without_gap {
  static constexpr std::string_view id = "stages_without_gap";
#define TENON_TEXT                                                                                      \
  "[tenon.stages_without_gap] the difficulty ranges of the curriculum leave a gap between 0 and 1, so " \
  "some documents would never be seen. Widen the ranges until they meet, and let them begin at 0 and "  \
  "end at 1"
  static constexpr std::string_view sentence = TENON_TEXT;
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
  template <auto... Values>
  struct with {
    static constexpr bool keeps_the_rule = never<Values...>;
    static_assert(keeps_the_rule, TENON_TEXT);
  };
#undef TENON_TEXT
  template <auto const& R>
  using refusal = with<R.curriculum.size>;
};

struct stages_reach_horizon {
  static constexpr std::string_view id = "stages_reach_horizon";
#define TENON_TEXT                                                                                       \
  "[tenon.stages_reach_horizon] the last stage of the curriculum ends before the run does, and nothing " \
  "says which documents follow. Raise its .until to the horizon, or shorten the horizon"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <class R>
  static constexpr bool applies = curriculum::has_stages<decltype(R::curriculum)>;
  template <class R>
  static constexpr bool holds(R const& r, known k = {}) {
    return curriculum::reaches(r.curriculum, r.horizon, total_steps(r.horizon, r.batch, k.samples_per_epoch));
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"last stage ends at", as_number(r.curriculum.list.back().until)},
                      finding{"horizon", as_number(r.horizon)}};
  }
  template <auto... Values>
  struct with {
    static constexpr bool keeps_the_rule = never<Values...>;
    static_assert(keeps_the_rule, TENON_TEXT);
  };
#undef TENON_TEXT
  template <auto const& R>
  using refusal = with<R.curriculum.list.back().until.count, R.horizon.count>;
};

using curriculum_rules = list<stages_in_order, stage_difficulty_in_range, stages_without_gap, stages_reach_horizon>;

}  // namespace tenon::rules
