#pragma once
#include <stdexcept>
#include <string>
#include <tenon/recipe.hpp>

#include "../examples/quickstart/quickstart.hpp"

/// The recipes whose training step is measured: llama-style models from 0.1 to 162 million parameters. W4 has long rows.
namespace workloads {

namespace tn = tenon;
using namespace tenon::literals;

/// What W0 to W4 share: one micro-batch a step, AdamW with clipping at 1, a constant rate.
constexpr auto recipe(tn::model::deepseek_llm model, tn::samples samples, tn::tokens sequence) {
  return tn::recipe(model, tn::precision::fp32{}, tn::horizon{1'000_steps},
                    tn::batch{.sequence = sequence, .global = samples, .micro = samples}, tn::optimizer::adamw{},
                    tn::schedule::constant{.peak = 3e-4});
}

inline constexpr auto w0 = recipe({.vocab = 272, .hidden = 64, .layers = 2, .heads = 2, .intermediate = 176, .positions = 32}, 1_samples, 32_tokens);
inline constexpr auto w1 = recipe({.vocab = 4'096, .hidden = 256, .layers = 4, .heads = 8, .intermediate = 688, .positions = 128}, 4_samples, 128_tokens);
inline constexpr auto w1b = recipe({.vocab = 8'192, .hidden = 384, .layers = 6, .heads = 6, .intermediate = 1'024, .positions = 256}, 4_samples, 256_tokens);
inline constexpr auto w2 = recipe({.vocab = 50'304, .hidden = 768, .layers = 12, .heads = 12, .intermediate = 2'048, .positions = 64}, 4_samples, 64_tokens);
inline constexpr auto w4 = recipe({.vocab = 4'096, .hidden = 256, .layers = 4, .heads = 8, .intermediate = 688, .positions = 1'024}, 4_samples, 1'024_tokens);

/// f.operator()<recipe>() with the recipe of this name.
template <class F>
int with(std::string const& name, F&& f) {
  if (name == "w1") return f.template operator()<w1>();
  if (name == "w1b") return f.template operator()<w1b>();
#if !defined(BENCH_PRODUCTS)
  if (name == "quickstart") return f.template operator()<quickstart>();
  if (name == "w0") return f.template operator()<w0>();
  if (name == "w2") return f.template operator()<w2>();
  if (name == "w4") return f.template operator()<w4>();
#endif
  throw std::runtime_error("there is no workload '" + name + "'; there are quickstart, w0, w1, w1b, w2, w4");
}

}  // namespace workloads
