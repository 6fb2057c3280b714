#pragma once
#include <array>

#include "tenon/recipe/model.hpp"
#include "tenon/recipe/rules/optimizer.hpp"
#include "tenon/recipe/rules/rule.hpp"
#include "tenon/recipe/run_policies.hpp"
#include "tenon/recipe/target.hpp"

/// What a GPU has no code for. What hinders only the launch (a model without kernels there, which can still be planned) is
/// in launch.hpp.
namespace tenon::rules {

/// Channels of the widest head that attention has kernels for on a GPU (exec/cuda/attention_kernels.cuh, and the
/// library's flash kernels).
inline constexpr int widest_head_on_gpu = 256;

struct head_width_on_gpu : rule<layer::shape, axis::model, axis::target> {
#define TENON_TEXT                                                                                       \
  "[tenon.head_width_on_gpu] a head of the model, .hidden / .heads, is wider than 256 channels, and "    \
  "attention on a GPU has no kernel for such heads. Choose more .heads, such as .hidden / 128, or train " \
  "on the CPU with target::native{}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = is_dense_decoder<model_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.target.facts().device == device_kind::cpu || r.model.heads <= 0 ||
           r.model.hidden / r.model.heads <= widest_head_on_gpu;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model.hidden", r.model.hidden}, finding{"model.heads", r.model.heads}};
  }
};

struct optimizer_on_gpu : rule<layer::shape, axis::target, axis::optimizer> {
#define TENON_TEXT                                                                                        \
  "[tenon.optimizer_on_gpu] the target is a GPU, where only optimizer::adamw and sgd have an update, so " \
  "another optimizer would move nothing. Write one of them, or train on the CPU with target::native{}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.target.facts().device == device_kind::cpu || names_moments<optimizer_of<R>>;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"target", r.target.kind}, finding{"optimizer", r.optimizer.kind}};
  }
};

struct trainable_on_cpu : rule<layer::shape, axis::target, axis::trainable> {
#define TENON_TEXT                                                                                          \
  "[tenon.trainable_on_cpu] the recipe leaves weights as they are (trainable::lora or frozen), which a GPU " \
  "cannot train yet. Write target::cpu{} or native{}, or trainable::all{}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = trainable::keeps_a_base<decltype(R::trainable)>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    return r.target.facts().device == device_kind::cpu;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"target", r.target.kind}, finding{"trainable", r.trainable.kind}};
  }
};

using gpu_rules = list<head_width_on_gpu, optimizer_on_gpu, trainable_on_cpu>;

}  // namespace tenon::rules
