#pragma once
#include <concepts>
#include <type_traits>

namespace tenon {

/// Which of a run's three digests a field belongs to; `none` for fields that never change a number.
enum class digest {
  identity,  ///< model mathematics, tokenizer, objective, optimizer state: must match on resume
  layout,    ///< mesh, micro-batch, recomputation: may differ, results then agree to a tolerance
  numbers,   ///< rates, lengths, seeds: a change must be asked for and is recorded
  none       ///< paths, logging, periods
};

/// Whether a field may change after compilation.
enum class field_class {
  fixed,       ///< compiled in, selects code
  trajectory,  ///< a number of the run; may be overridden at launch, a change on resume is recorded
  operational  ///< free at any time
};

/// True; does not compile for digest::none.
template <digest D>
consteval bool in_a_digest() {
  static_assert(D != digest::none,
                "[tenon.digest_given] a fixed field belongs to no digest, so runs that differ in it would look the same. "
                "Write digest::identity or digest::layout");
  return true;
}

/// A field that is compiled in. Converts from T and to T; where T is a class (a unit), it is one. It selects code, so it
/// belongs to a digest: there is no fixed<T, digest::none>.
template <class T, digest D = digest::identity>
struct fixed {
  static_assert(in_a_digest<D>());
  T value{};
  constexpr fixed() = default;
  constexpr fixed(T v) : value(v) {}
  template <std::floating_point F>
  requires std::integral<T> fixed(F)
  = delete;  ///< a count is a whole number
  constexpr operator T() const { return value; }
  constexpr T get() const { return value; }
};

template <class T, digest D>
requires std::is_class_v<T>
struct fixed<T, D> : T {
  static_assert(in_a_digest<D>());
  using T::T;
  constexpr fixed() = default;
  constexpr fixed(T v) : T(v) {}
  constexpr T get() const { return *this; }
};

/// A field that is free at any time (paths, logging, how many to keep). Converts from T and to T. Almost all belong to no
/// digest; one that moves the last bits of the numbers (how many ranks add up a gradient) belongs to the layout.
template <class T, digest D = digest::none>
struct operational {
  T value{};
  constexpr operational() = default;
  constexpr operational(T v) : value(v) {}
  constexpr operator T() const { return value; }
  constexpr T get() const { return value; }
};

template <class T, digest D>
requires std::is_class_v<T>
struct operational<T, D> : T {
  constexpr operational() = default;
  using T::T;
  constexpr operational(T v) : T(v) {}
  constexpr T get() const { return *this; }
};

/// Class, digest and plain value type of a field, from its declared type. A plain type is a trajectory number.
template <class T>
struct field_traits {
  using value_type = T;
  static constexpr field_class classification = field_class::trajectory;
  static constexpr digest belongs_to = digest::numbers;
};
template <class T, digest D>
struct field_traits<fixed<T, D>> {
  using value_type = T;
  static constexpr field_class classification = field_class::fixed;
  static constexpr digest belongs_to = D;
};
template <class T, digest D>
struct field_traits<operational<T, D>> {
  using value_type = T;
  static constexpr field_class classification = field_class::operational;
  static constexpr digest belongs_to = D;
};

}  // namespace tenon
