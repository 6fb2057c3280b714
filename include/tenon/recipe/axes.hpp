#pragma once
#include <concepts>
#include <string_view>
#include <type_traits>

#include "tenon/core/fixed.hpp"

/// The questions a recipe answers. A policy names the one it answers with `using axis = tenon::axis::...;`.
/// `name` is the member of the recipe, `choice` the digest that the choice of policy itself belongs to.
namespace tenon::axis {

struct model {
  static constexpr std::string_view name = "model";
  static constexpr digest choice = digest::identity;
};
struct target {
  static constexpr std::string_view name = "target";
  static constexpr digest choice = digest::layout;
};
struct precision {
  static constexpr std::string_view name = "precision";
  static constexpr digest choice = digest::identity;
};
struct objective {
  static constexpr std::string_view name = "objective";
  static constexpr digest choice = digest::identity;
};
struct horizon {
  static constexpr std::string_view name = "horizon";
  static constexpr digest choice = digest::numbers;
};
struct batch {
  static constexpr std::string_view name = "batch";
  static constexpr digest choice = digest::numbers;
};
struct data {
  static constexpr std::string_view name = "data";
  static constexpr digest choice = digest::identity;
};
struct curriculum {
  static constexpr std::string_view name = "curriculum";
  static constexpr digest choice = digest::numbers;
};
struct optimizer {
  static constexpr std::string_view name = "optimizer";
  static constexpr digest choice = digest::identity;
};
struct schedule {
  static constexpr std::string_view name = "schedule";
  static constexpr digest choice = digest::numbers;
};
struct trainable {
  static constexpr std::string_view name = "trainable";
  static constexpr digest choice = digest::identity;
};
struct memory {
  static constexpr std::string_view name = "memory";
  static constexpr digest choice = digest::layout;
};
struct parallel {
  static constexpr std::string_view name = "parallel";
  static constexpr digest choice = digest::layout;
};
struct checkpoint {
  static constexpr std::string_view name = "checkpoint";
  static constexpr digest choice = digest::none;
};
struct observe {
  static constexpr std::string_view name = "observe";
  static constexpr digest choice = digest::none;
};
struct seed {
  static constexpr std::string_view name = "seed";
  static constexpr digest choice = digest::numbers;
};

}  // namespace tenon::axis

namespace tenon {

/// True when T is one of the sixteen axes.
template <class T>
inline constexpr bool is_axis =
    std::same_as<T, axis::model> || std::same_as<T, axis::target> || std::same_as<T, axis::precision> ||
    std::same_as<T, axis::objective> || std::same_as<T, axis::horizon> || std::same_as<T, axis::batch> ||
    std::same_as<T, axis::data> || std::same_as<T, axis::curriculum> || std::same_as<T, axis::optimizer> ||
    std::same_as<T, axis::schedule> || std::same_as<T, axis::trainable> || std::same_as<T, axis::memory> ||
    std::same_as<T, axis::parallel> || std::same_as<T, axis::checkpoint> || std::same_as<T, axis::observe> ||
    std::same_as<T, axis::seed>;

/// True when T is a policy: an object type with an `axis` of ours and a printable `kind`.
template <class T>
consteval bool is_policy() {
  if constexpr (requires {
                  typename T::axis;
                  { T::kind } -> std::convertible_to<std::string_view>;
                })
    return is_axis<typename T::axis>;
  else
    return false;
}

}  // namespace tenon
