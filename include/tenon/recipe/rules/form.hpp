#pragma once
#include "tenon/recipe/rules/rule.hpp"

/// Form rules: about the arguments of recipe(...), .with(...), .replace(...) and .edit(...), where they speak.
/// form::mistake (recipe/form.hpp) says which one is broken.
namespace tenon::rules {

struct not_a_policy : rule<layer::form> {
#define TENON_TEXT                                                                                           \
  "[tenon.not_a_policy] an argument is not a policy: it has no `axis` out of tenon::axis and no `kind`, so " \
  "no part of the run would read it. Give policy objects, such as tenon::precision::bf16{} or "              \
  "tenon::horizon{1'000_steps}; docs/policies.md lists them"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
};

struct twice : rule<layer::form> {
#define TENON_TEXT                                                                                        \
  "[tenon.twice] two policies answer the same axis, so one of them would be ignored. Give one per axis; " \
  "to vary a finished recipe write recipe.with(policy)"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
};

struct no_model : rule<layer::form> {
#define TENON_TEXT                                                                                   \
  "[tenon.no_model] no model was given, and it is the one axis without a default. Add one, such as " \
  "tenon::model::deepseek_llm{.vocab = 32'256, .hidden = 512, .layers = 8, .heads = 8, .intermediate = 1'376}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
};

struct with_same_policy : rule<layer::form> {
#define TENON_TEXT                                                                                          \
  "[tenon.with_same_policy] .with was given a policy of the type that the recipe already has, which would " \
  "reset every field that you did not repeat. Write .edit([](auto& r) { r.schedule.peak = 1e-4; }) to "     \
  "change fields, or .replace(policy) to start that policy afresh"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
};

struct edit_by_reference : rule<layer::form> {
#define TENON_TEXT                                                                                       \
  "[tenon.edit_by_reference] .edit was given a function that takes the recipe by value, so its changes " \
  "would be lost. Write [](auto& r) { ... }"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
};

using form_rules = list<not_a_policy, twice, no_model, with_same_policy, edit_by_reference>;

}  // namespace tenon::rules
