// Forward and backward pass of the combinations below, as tenon composes them and written by hand on the same opaque
// kernels: the same calls with the same arguments, and how many instructions each takes. Prints a line for each
// combination; zero.py judges.
#include <cstdio>
#include <type_traits>

#include "by_hand.hpp"
#include "opaque.hpp"
#include "stepper.hpp"
#include "support/micro_batch.hpp"
#include "tenon/exec/activations.hpp"
#include "tenon/exec/store.hpp"
#include "tenon/models/of_recipe.hpp"
#include "tenon/recipe.hpp"

namespace {

namespace tn = tenon;
using namespace tenon::literals;

template <class Precision, class Memory>
constexpr auto of(Precision p, Memory m, bool tied, int kv_heads) {
  return tn::recipe(tn::model::deepseek_llm{.vocab = 320, .hidden = 32, .layers = 8, .heads = 4, .kv_heads = kv_heads,
                                            .intermediate = 48, .positions = 16, .tied = tied},
                    tn::target::cpu{}, p, m, tn::horizon{10_steps},
                    tn::batch{.sequence = 16_tokens, .global = 2_samples, .micro = 2_samples});
}
constexpr tn::precision::bf16 bf16{.emulated = true};
constexpr tn::precision::fp16 fp16{.emulated = true};

template <auto const& R>
struct both {
  using model = tn::models::of_recipe<R>;
  using compute = tn::models::compute_of<R>;
  static constexpr bool recomputes = tn::models::recompute_every(R.memory) != 0;
  tn::exec::parameter_store<model, compute> store;
  tn::exec::activations<model, compute> memory{32, 1, 16, 1e4};
  zero::by_hand<model, compute, R.model.kv() * (R.model.hidden / R.model.heads), R.model.intermediate, recomputes> hand{store, memory, tn::exec::parameter_places<model>()};
  random_batch rows{2, 16, 320, 1};
  tn::nn::micro_batch batch = rows.view(memory.rotary_cos, memory.rotary_sin);
  zero::opaque<compute> x;
};

template <auto const& R>
[[gnu::noinline]] void generic_pass(both<R>& s, float seed, bool first) {
  both<R>::model::forward_backward(s.x, s.store, s.batch, s.memory.saved, s.memory.scratch, seed, first);
}
template <auto const& R>
[[gnu::noinline]] void hand_pass(both<R>& s, float seed, bool first) {
  s.hand.forward_backward(s.batch, seed, first);
}
/// The same with all of its functions in one.
template <auto const& R>
[[gnu::noinline, gnu::flatten]] void tight_pass(both<R>& s, float seed, bool first) {
  s.hand.forward_backward(s.batch, seed, first);
}

template <auto const& R>
bool compare(char const* name) {
  static_assert(tn::legal<R>);
  both<R> s;
  auto const trace = [&](auto pass) {
    zero_trace = 1, zero_calls = 0;
    pass(s, 0.25f, true), pass(s, 0.25f, false);
    return zero_trace;
  };
  bool const same = trace(generic_pass<R>) == trace(hand_pass<R>);
  auto const calls = zero_calls / 2;
  auto const generic = instructions_of([&] { generic_pass<R>(s, 0.25f, false); });
  auto const hand = instructions_of([&] { hand_pass<R>(s, 0.25f, false); });
  auto const tight = instructions_of([&] { tight_pass<R>(s, 0.25f, false); });
  std::printf("%-26s calls %llu %s generic %lld by_hand %lld tight %lld\n", name, static_cast<unsigned long long>(calls),
              same ? "same" : "other", static_cast<long long>(generic), static_cast<long long>(hand), static_cast<long long>(tight));
  return same;
}

constexpr auto fp32_keep_untied = of(tn::precision::fp32{}, tn::memory::keep{}, false, 4);
constexpr auto bf16_recompute_tied = of(bf16, tn::memory::recompute{}, true, 4);
#ifndef FEW
constexpr auto fp32_keep_tied_gqa = of(tn::precision::fp32{}, tn::memory::keep{}, true, 2);
constexpr auto fp32_recompute_untied_gqa = of(tn::precision::fp32{}, tn::memory::recompute{}, false, 2);
constexpr auto fp32_recompute_tied = of(tn::precision::fp32{}, tn::memory::recompute{}, true, 4);
constexpr auto bf16_keep_untied_gqa = of(bf16, tn::memory::keep{}, false, 2);
constexpr auto fp16_keep_tied = of(fp16, tn::memory::keep{}, true, 4);
constexpr auto fp16_recompute_untied = of(fp16, tn::memory::recompute{}, false, 4);
#endif

}  // namespace

int main() {
  bool same = compare<fp32_keep_untied>("fp32_keep_untied");
  same &= compare<bf16_recompute_tied>("bf16_recompute_tied");
#ifndef FEW
  same &= compare<fp32_keep_tied_gqa>("fp32_keep_tied_gqa");
  same &= compare<fp32_recompute_untied_gqa>("fp32_recompute_untied_gqa");
  same &= compare<fp32_recompute_tied>("fp32_recompute_tied");
  same &= compare<bf16_keep_untied_gqa>("bf16_keep_untied_gqa");
  same &= compare<fp16_keep_tied>("fp16_keep_tied");
  same &= compare<fp16_recompute_untied>("fp16_recompute_untied");
#endif
  return same ? 0 : 1;
}
