#pragma once
#include <type_traits>

#include "tenon/recipe/batch.hpp"
#include "tenon/recipe/curriculum.hpp"
#include "tenon/recipe/data.hpp"
#include "tenon/recipe/form.hpp"
#include "tenon/recipe/horizon.hpp"
#include "tenon/recipe/model.hpp"
#include "tenon/recipe/optimizer.hpp"
#include "tenon/recipe/parallel.hpp"
#include "tenon/recipe/precision.hpp"
#include "tenon/recipe/run_policies.hpp"
#include "tenon/recipe/schedule.hpp"
#include "tenon/recipe/target.hpp"

namespace tenon::form {

template <>
inline constexpr bool has_one_value<horizon> = true;
template <>
inline constexpr bool has_one_value<seed> = true;

}  // namespace tenon::form

namespace tenon {

/// The policy that an axis takes when a recipe leaves it out. The model has none.
template <class Axis>
struct default_policy : std::type_identity<invalid> {};
template <>
struct default_policy<axis::target> : std::type_identity<target::native> {};
template <>
struct default_policy<axis::precision> : std::type_identity<precision::native> {};
template <>
struct default_policy<axis::objective> : std::type_identity<objective::next_token> {};
template <>
struct default_policy<axis::horizon> : std::type_identity<tenon::horizon> {};
template <>
struct default_policy<axis::batch> : std::type_identity<tenon::batch> {};
template <>
struct default_policy<axis::data> : std::type_identity<data::corpus> {};
template <>
struct default_policy<axis::curriculum> : std::type_identity<curriculum::none> {};
template <>
struct default_policy<axis::optimizer> : std::type_identity<optimizer::adamw> {};
template <>
struct default_policy<axis::schedule> : std::type_identity<schedule::warmup_cosine> {};
template <>
struct default_policy<axis::trainable> : std::type_identity<trainable::all> {};
template <>
struct default_policy<axis::memory> : std::type_identity<memory::keep> {};
template <>
struct default_policy<axis::parallel> : std::type_identity<parallel::single> {};
template <>
struct default_policy<axis::checkpoint> : std::type_identity<checkpoint::every> {};
template <>
struct default_policy<axis::observe> : std::type_identity<observe::standard> {};
template <>
struct default_policy<axis::seed> : std::type_identity<tenon::seed> {};
template <class Axis>
using default_policy_t = typename default_policy<Axis>::type;

}  // namespace tenon
