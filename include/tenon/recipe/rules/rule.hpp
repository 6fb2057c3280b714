#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tenon/core/units.hpp"
#include "tenon/recipe/axes.hpp"

/// A rule is a type with
///   id        its name, in the sentence and in tests/compile_fail/
///   sentence  [tenon.id] what was chosen, why it cannot work. What to write instead
///   applies   whether it speaks about this type of recipe at all
///   holds     the predicate over a recipe's value; total: it divides by nothing that another rule has to refuse first
///   seen      the values it looked at, for the text at launch
///   refusal   the template that the compiler instantiates to say the sentence; it shows the values as arguments
/// The compiler and the command line call the same `holds`.
namespace tenon::rules {

/// What only the launch knows; zero means not known yet, and rules that need it then hold.
struct known {
  samples samples_per_epoch{0};
};

/// One value that a rule looked at.
struct finding {
  std::string_view path;
  double number = 0;
  std::string_view text = {};  ///< said instead of the number, where not empty
};

template <class T>
constexpr double as_number(T v) {
  if constexpr (requires { v.count; })
    return static_cast<double>(v.count);
  else
    return static_cast<double>(v);
}

/// False, but only once Values are known.
template <auto... Values>
inline constexpr bool never = sizeof...(Values) == static_cast<std::size_t>(-1);

template <class... Rules>
struct list {};

/// The policy types of a recipe, by axis.
template <class R>
using model_of = decltype(R::model);
template <class R>
using schedule_of = decltype(R::schedule);
template <class R>
using target_of = decltype(R::target);
template <class R>
using precision_of = decltype(R::precision);
template <class R>
using optimizer_of = decltype(R::optimizer);

}  // namespace tenon::rules
