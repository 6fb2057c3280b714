#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "tenon/core/hetero.hpp"
#include "tenon/recipe.hpp"

/// Every policy that ships, with values that are legal on a small machine. THE PLACE WHERE A NEW POLICY IS REGISTERED
/// FOR THE TESTS; from these lists follow
///   * docs/policies.md must have a section for each policy, and none besides (tests/recipe/docs.cpp),
///   * the product of all choices that the rules judge, docs/legality.md and legality.json (tests/legality/),
///   * the trainers that `./tenon test legality` builds and runs.
/// A policy may appear more than once, where a field changes what is legal or which code is instantiated.
namespace shipped {

namespace tn = tenon;
using namespace tenon::literals;
struct module_of_someone;  ///< stands for a user's torch::nn::Module

/// One way to answer an axis.
template <class Policy>
struct choice {
  Policy policy;
  std::string_view remark = {};  ///< which fields differ from the defaults, where that matters
  using type = Policy;

  /// `axis::kind`, or the kind alone where the axis has one policy; with the remark in braces.
  std::string name() const {
    std::string const axis(Policy::axis::name), kind(Policy::kind);
    return (axis == kind ? kind : axis + "::" + kind) + (remark.empty() ? "" : "{" + std::string(remark) + "}");
  }
};
template <class Policy>
choice(Policy) -> choice<Policy>;
template <class Policy>
choice(Policy, char const*) -> choice<Policy>;

inline constexpr tn::model::deepseek_llm small{
    .vocab = 272, .hidden = 32, .layers = 2, .heads = 4, .kv_heads = 2, .intermediate = 48, .positions = 32};

inline constexpr tn::model::deepseek_v2 small_v2{.vocab = 272,
                                                 .hidden = 32,
                                                 .layers = 2,
                                                 .heads = 4,
                                                 .latent_rank = 16,
                                                 .nope_dim = 8,
                                                 .rope_dim = 8,
                                                 .value_dim = 12,
                                                 .intermediate = 48,
                                                 .experts = 8,
                                                 .chosen = 2,
                                                 .expert_intermediate = 12,
                                                 .positions = 32};
inline constexpr tn::model::deepseek_v3 small_v3{.vocab = 272,
                                                 .hidden = 32,
                                                 .layers = 2,
                                                 .heads = 4,
                                                 .query_rank = 24,
                                                 .latent_rank = 16,
                                                 .nope_dim = 8,
                                                 .rope_dim = 8,
                                                 .value_dim = 12,
                                                 .intermediate = 48,
                                                 .dense_layers = 1,
                                                 .experts = 8,
                                                 .chosen = 2,
                                                 .expert_intermediate = 12,
                                                 .groups = 4,
                                                 .chosen_groups = 2,
                                                 .positions = 32};

/// The choices of an axis.
constexpr auto choices(tn::axis::model) {
  return tn::hetero::make(choice{small}, choice{tn::model::torch_module<module_of_someone>{.vocab = 272}});
}
constexpr auto choices(tn::axis::target) {
  return tn::hetero::make(choice{tn::target::native{}}, choice{tn::target::cpu{}}, choice{tn::target::h100{}},
                          choice{tn::target::h200{}}, choice{tn::target::b200{}}, choice{tn::target::a100_80{}},
                          choice{tn::target::a100_40{}}, choice{tn::target::v100{}}, choice{tn::target::l40s{}},
                          choice{tn::target::rtx_4090{}});
}
constexpr auto choices(tn::axis::precision) {
  return tn::hetero::make(
      choice{tn::precision::fp32{}}, choice{tn::precision::fp32{.tf32 = true}, ".tf32 = true"}, choice{tn::precision::bf16{}},
      choice{tn::precision::bf16{.emulated = true}, ".emulated = true"}, choice{tn::precision::fp16{}},
      choice{tn::precision::fp16{.emulated = true}, ".emulated = true"}, choice{tn::precision::native{}});
}
constexpr auto choices(tn::axis::objective) {
  return tn::hetero::make(choice{tn::objective::next_token{}}, choice{tn::objective::sft{}});
}
constexpr auto choices(tn::axis::horizon) {
  return tn::hetero::make(choice{tn::horizon{20_steps}, "steps"}, choice{tn::horizon{1'280_tokens}, "tokens"},
                          choice{tn::horizon{80_samples}, "samples"}, choice{tn::horizon{1_epochs}, "epochs"});
}
constexpr auto choices(tn::axis::batch) {
  return tn::hetero::make(choice{tn::batch{.sequence = 16_tokens, .global = 4_samples, .micro = 2_samples}});
}
constexpr auto choices(tn::axis::data) {
  return tn::hetero::make(choice{tn::data::corpus{}}, choice{tn::data::mixed({0.7, 0.3})});
}
constexpr auto choices(tn::axis::curriculum) {
  return tn::hetero::make(choice{tn::curriculum::none{}},
                          choice{tn::curriculum::by_length({{.until = 10_steps, .high = 0.5}, {.until = 20_steps}})});
}
constexpr auto choices(tn::axis::optimizer) {
  return tn::hetero::make(choice{tn::optimizer::adamw{}},
                          choice{tn::optimizer::adamw{.moment = tn::dtype::bf16}, ".moment = bf16"},
                          choice{tn::optimizer::sgd{}},
                          choice{tn::optimizer::sgd{.nesterov = true}, ".nesterov = true"});
}
constexpr auto choices(tn::axis::schedule) {
  return tn::hetero::make(choice{tn::schedule::constant{}}, choice{tn::schedule::warmup_linear{}},
                          choice{tn::schedule::warmup_cosine{}}, choice{tn::schedule::warmup_stable_decay{}},
                          choice{tn::schedule::inverse_sqrt{}});
}
constexpr auto choices(tn::axis::trainable) {
  return tn::hetero::make(choice{tn::trainable::all{}}, choice{tn::trainable::lora{.rank = 4}, ".rank = 4"},
                          choice{tn::trainable::frozen{}});
}
constexpr auto choices(tn::axis::memory) {
  return tn::hetero::make(choice{tn::memory::keep{}}, choice{tn::memory::recompute{}});
}
constexpr auto choices(tn::axis::parallel) {
  return tn::hetero::make(choice{tn::parallel::single{}}, choice{tn::parallel::ddp{.ranks = 2}, ".ranks = 2"},
                          choice{tn::parallel::mesh{tn::parallel::replicate{.ranks = 2}}, "replicate{.ranks = 2}"});
}
constexpr auto choices(tn::axis::checkpoint) {
  return tn::hetero::make(choice{tn::checkpoint::never{}}, choice{tn::checkpoint::every{}});
}
constexpr auto choices(tn::axis::observe) { return tn::hetero::make(choice{tn::observe::standard{}}); }
constexpr auto choices(tn::axis::seed) { return tn::hetero::make(choice{tn::seed{}}); }

/// Policies that ship and are documented, but stand outside of the product and its trainers: they answer the other axes
/// as the dense decoder does, and a trainer of theirs takes a minute to compile (tests/train/family.cpp has one of each).
constexpr auto beside_the_product() { return tn::hetero::make(choice{small_v2}, choice{small_v3}); }

/// Calls f(axis tag) for each axis, in the order of a recipe's members.
template <class F>
constexpr void for_each_axis_tag(F&& f) {
  namespace a = tn::axis;
  f(a::model{}), f(a::target{}), f(a::precision{}), f(a::objective{}), f(a::horizon{}), f(a::batch{}), f(a::data{});
  f(a::curriculum{}), f(a::optimizer{}), f(a::schedule{}), f(a::trainable{}), f(a::memory{}), f(a::parallel{});
  f(a::checkpoint{}), f(a::observe{}), f(a::seed{});
}

}  // namespace shipped
