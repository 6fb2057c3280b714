#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "tenon/core/units.hpp"
#include "tenon/recipe/axes.hpp"

/// A rule is a type derived from rule<layer, axes it reads...> with
///   sentence  [tenon.id] what was chosen, why it cannot work. What to write instead
///   with      the template that the compiler instantiates to say the sentence; its arguments are the values
///   applies   whether it speaks about this type of recipe at all; left out: about every one
///   holds     the predicate over a recipe's value; total: it divides by nothing that another rule has to refuse first
///   seen      the values that it looked at: arguments of `with` for the compiler, words for the text at launch
///   refusal   only where the compiler is to show other arguments than the whole numbers of `seen`
///   example   of a rule of the launch, which no file can show: lines for docs/rules.md, "-" before wrong ones, "+" before right
/// The compiler and the command line call the same `holds`; docs/rules.md is printed from the same types. A rule sees
/// only the axes that it names: the legality tests give it a recipe that has no others.
///
/// The sentence is a macro because a static_assert takes nothing but a literal; the static_assert is written out in
/// each rule because g++ explains one that comes from a macro in six more lines.
namespace tenon::rules {

/// When a rule is asked: form in recipe(...), .with(...) and .edit(...); contract, shape and numbers by check, each
/// only where the one before it holds; plan by fits<R>; launch before the first step, when data and machine are known.
enum class layer { form, contract, shape, numbers, plan, launch };

template <class... Rules>
struct list {};

template <layer Layer, class... Axes>
struct rule {
  static constexpr layer when = Layer;
  using reads = list<Axes...>;
  template <class R>
  static constexpr bool applies = true;
};

/// The layer of a rule; numbers where it does not say.
template <class Rule>
inline constexpr layer layer_of = layer::numbers;
template <class Rule>
requires requires { Rule::when; }
inline constexpr layer layer_of<Rule> = Rule::when;

/// The rule's name: what stands in the brackets of its sentence behind "tenon.".
template <class Rule>
inline constexpr std::string_view id_of = Rule::sentence.substr(7, Rule::sentence.find(']') - 7);

/// What only the launch knows; zero means not known yet, and rules that need it then hold.
struct known {
  samples samples_per_epoch{0};
  bytes needed{0};             ///< by the plan
  bytes present{0};            ///< memory of the machine that launches
  bool launched = false;       ///< whether this is a launch
  int gpus = -1;               ///< that the launched program can use; -1: it has no code for the recipe on a GPU
  int gpu_capability = 0;      ///< of the one that it would use: 10 * major + minor
  int local_rank = 0;          ///< which rank of its machine launches
  std::string_view missing{};  ///< a path of the command line or the recipe that does not exist
  int started = 0;             ///< processes that a launcher has started; 0: none has
  std::string_view launcher{}; ///< its name
  std::string_view templateless{};  ///< the directory that lacks the chat template which the objective needs
  bool without_base = false;        ///< weights are to stay as another model has them, and none was named
};

template <class T>
constexpr double as_number(T v) {
  if constexpr (requires { v.count; })
    return static_cast<double>(v.count);
  else
    return static_cast<double>(v);
}

/// One value that a rule looked at: a number, or a word such as the kind of a policy.
struct finding {
  std::string_view path;
  double number = 0;
  std::string_view text = {};  ///< said instead of the number, where not empty

  constexpr finding(std::string_view where, std::string_view word) : path(where), text(word) {}
  constexpr finding(std::string_view where, double, std::string_view word) : path(where), text(word) {}
  template <class T>
  requires(!std::is_convertible_v<T, std::string_view>) constexpr finding(std::string_view where, T const& value)
      : path(where), number(as_number(value)) {}
  /// Whether the number can be shown as an integer.
  constexpr bool whole() const {
    return text.empty() && number > -9e15 && number < 9e15 &&
           number == static_cast<double>(static_cast<std::int64_t>(number));
  }
};

/// False, but only once the arguments are known.
template <auto... Values>
inline constexpr bool never = sizeof...(Values) == static_cast<std::size_t>(-1);
template <class... Types>
inline constexpr bool never_of = sizeof...(Types) == static_cast<std::size_t>(-1);

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
template <class R>
using memory_of = decltype(R::memory);
template <class R>
using parallel_of = decltype(R::parallel);

}  // namespace tenon::rules
