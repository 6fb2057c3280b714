#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/policies.hpp"
#include "tenon/core/error.hpp"

/// The full product of all choices of policies, judged by the rules. A rule's verdict can depend on nothing but the
/// axes that it names (rule::reads): it is asked with a recipe that has only those. So each rule is asked once for
/// every combination of choices of its own axes, and the verdict on a whole recipe is looked up.
namespace legality {

namespace tn = tenon;
inline constexpr std::size_t num_axes = 16;

/// A policy under the name that its axis has in a recipe.
template <class Axis, class Policy>
struct member;
#define TENON_MEMBER(name)                   \
  template <class Policy>                    \
  struct member<tenon::axis::name, Policy> { \
    Policy name;                             \
  }
TENON_MEMBER(model);
TENON_MEMBER(target);
TENON_MEMBER(precision);
TENON_MEMBER(objective);
TENON_MEMBER(horizon);
TENON_MEMBER(batch);
TENON_MEMBER(data);
TENON_MEMBER(curriculum);
TENON_MEMBER(optimizer);
TENON_MEMBER(schedule);
TENON_MEMBER(trainable);
TENON_MEMBER(memory);
TENON_MEMBER(parallel);
TENON_MEMBER(checkpoint);
TENON_MEMBER(observe);
TENON_MEMBER(seed);
#undef TENON_MEMBER

/// A recipe with some of the axes.
template <class... Policies>
struct part : member<typename Policies::axis, Policies>... {};

template <class Axis>
constexpr std::size_t place_of() {
  std::size_t place = 0, i = 0;
  shipped::for_each_axis_tag([&](auto tag) {
    if (std::is_same_v<decltype(tag), Axis>) place = i;
    ++i;
  });
  return place;
}

/// An axis and the names of its choices.
struct axis_choices {
  std::string name;
  std::vector<std::string> choices;
};

/// A rule and what it says of each combination of choices of its axes; the last axis varies fastest.
struct judged_rule {
  std::string id, sentence;
  tn::rules::layer when;
  std::vector<std::size_t> axes;  ///< places in matrix::axes
  std::vector<bool> refuses;
};

struct matrix {
  std::vector<axis_choices> axes;
  std::vector<judged_rule> rules;
  std::int64_t combinations = 1, legal = 0;
  std::vector<std::int64_t> refused_first;  ///< by rule: combinations that it is the first to refuse
  std::vector<std::int64_t> refused;        ///< by rule: combinations that it refuses at all

  /// Index of the first rule that refuses this combination, -1 if none; `also` is called with every one.
  template <class F>
  int judge(std::array<std::size_t, num_axes> const& at, F&& also) const {
    int first = -1;
    for (std::size_t r = 0; r < rules.size(); ++r) {
      std::size_t index = 0;
      for (auto a : rules[r].axes) index = index * axes[a].choices.size() + at[a];
      if (!rules[r].refuses[index]) continue;
      also(r);
      if (first < 0) first = static_cast<int>(r);
    }
    return first;
  }
  /// Calls f(combination) for each of the product.
  template <class F>
  void for_each(F&& f) const {
    std::array<std::size_t, num_axes> at{};
    for (std::int64_t n = 0; n < combinations; ++n) {
      f(at);
      for (std::size_t a = num_axes; a-- > 0;) {
        if (++at[a] < axes[a].choices.size()) break;
        at[a] = 0;
      }
    }
  }
};

template <class Rule, class... Axes>
void judge_rule(matrix& m, tn::rules::list<Axes...>) {
  judged_rule j{std::string(tn::rules::id_of<Rule>),
                std::string(Rule::sentence),
                tn::rules::layer_of<Rule>,
                {place_of<Axes>()...},
                {}};
  tn::hetero::for_each_combination(
      [&](auto const&... c) {
        using recipe = part<std::remove_cvref_t<decltype(c.policy)>...>;
        recipe const r{{c.policy}...};
        if constexpr (Rule::template applies<recipe>)
          static_cast<void>(sizeof(Rule::seen(r))), j.refuses.push_back(!Rule::holds(r, {}));
        else
          j.refuses.push_back(false);
      },
      shipped::choices(Axes{})...);
  m.rules.push_back(std::move(j));
}

/// Judges everything.
inline matrix make_matrix() {
  matrix m;
  shipped::for_each_axis_tag([&](auto tag) {
    axis_choices a{std::string(decltype(tag)::name), {}};
    tn::hetero::for_each(shipped::choices(tag), [&](auto const& c) { a.choices.push_back(c.name()); });
    m.combinations *= static_cast<std::int64_t>(a.choices.size());
    m.axes.push_back(std::move(a));
  });
  [&]<class... Rules>(tn::rules::list<Rules...>) {
    (judge_rule<Rules>(m, typename Rules::reads{}), ...);
  }(decltype(tn::rules::contract_rules{} + tn::rules::number_rules{}){});
  m.refused.resize(m.rules.size()), m.refused_first.resize(m.rules.size());
  m.for_each([&](auto const& at) {
    int const first = m.judge(at, [&](std::size_t r) { ++m.refused[r]; });
    if (first < 0)
      ++m.legal;
    else
      ++m.refused_first[static_cast<std::size_t>(first)];
  });
  return m;
}

/// The combinations of its own axes that a rule refuses, as names of choices by axis.
inline std::vector<std::vector<std::string>> refusals(matrix const& m, judged_rule const& j) {
  std::vector<std::vector<std::string>> all;
  for (std::size_t n = 0; n < j.refuses.size(); ++n) {
    if (!j.refuses[n]) continue;
    std::vector<std::string> one(j.axes.size());
    std::size_t rest = n;
    for (std::size_t a = j.axes.size(); a-- > 0;) {
      auto const& c = m.axes[j.axes[a]].choices;
      one[a] = c[rest % c.size()], rest /= c.size();
    }
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace legality
