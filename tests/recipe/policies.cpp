#include <type_traits>

#include "recipe/support/recipes.hpp"
#include "support/test.hpp"
#include "tenon/variants/base.hpp"
#include "tenon/variants/pro.hpp"
#include "tenon/variants/ultra.hpp"
#include "tenon/variants/v2_lite.hpp"
#include "tenon/variants/v3_tiny.hpp"

namespace {

namespace tn = tenon;
using namespace tenon::literals;

// Model: the count of parameters, tied and untied, grouped and not (computed by hand).
constexpr auto m = recipes::tiny_model;
static_assert(m.head_dim() == 16 && m.kv() == 4 && m.kv_width() == 64);
static_assert(m.parameters() == 2 * 512 * 64 + 2 * (4 * 64 * 64 + 3 * 64 * 172 + 2 * 64) + 64);
constexpr tn::model::deepseek_llm grouped{
    .vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .kv_heads = 2, .intermediate = 172, .tied = true};
static_assert(grouped.kv_width() == 32);
static_assert(grouped.parameters() == 512 * 64 + 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 172 + 2 * 64) + 64);

// Variants are legal and have the sizes of the published models.
static_assert(tn::legal<tn::variants::base> && tn::legal<tn::variants::pro> && tn::legal<tn::variants::ultra>);
static_assert(tn::variants::base.model.parameters() == 1'194'678'272);
static_assert(tn::variants::pro.model.parameters() == 6'740'512'768);
static_assert(tn::variants::ultra.model.parameters() == 13'015'864'320);
static_assert(tn::variants::pro.schedule.peak == 3e-4 && tn::variants::ultra.schedule.peak == 2e-4);
static_assert(tn::variants::pro.batch.accumulation() == 256);

// DeepSeek-V2-Lite has the published number of scalars; V3's counts by hand: embedding and head, per block attention with
// compressed queries and two norms, SwiGLU or router and experts, the last norm.
static_assert(tn::legal<tn::variants::v2_lite> && tn::legal<tn::variants::v3_tiny>);
static_assert(tn::variants::v2_lite.model.parameters() == 15'706'484'224);
static_assert(tn::variants::v2_lite.model.active_parameters() == 2'661'150'208);
constexpr std::int64_t v3_attention = 512 * 192 + 192 + 192 * 8 * 48 + 512 * (128 + 16) + 128 + 128 * 8 * 64 + 8 * 32 * 512 + 2 * 512;
constexpr std::int64_t v3_experts = 512 * 32 + 3 * 512 * 256 * (32 + 1);
static_assert(tn::variants::v3_tiny.model.parameters() == 2 * 8'192 * 512 + 8 * v3_attention + 3 * 512 * 1'408 + 7 * v3_experts + 512);

// A rehearsal is legal, has the types of the full run, and its rate is transferred by the eighth root of the compute.
template <auto const& R>
inline constexpr auto rehearsal_of = R.rehearsal();
template <auto const& R>
constexpr bool rehearses = tn::legal<rehearsal_of<R>> && std::is_same_v<std::remove_cvref_t<decltype(rehearsal_of<R>)>, std::remove_cvref_t<decltype(R)>> &&
                           rehearsal_of<R>.model.parameters() < 2'000'000 && rehearsal_of<R>.schedule.peak > R.schedule.peak &&
                           tn::total_steps(rehearsal_of<R>.horizon, rehearsal_of<R>.batch) == 200_steps;
static_assert(rehearses<tn::variants::base> && rehearses<tn::variants::pro> && rehearses<tn::variants::ultra>);
static_assert(rehearses<tn::variants::v2_lite> && rehearses<tn::variants::v3_tiny>);
constexpr double near(double a, double b) { return a > b ? a / b - 1 : b / a - 1; }
static_assert(near(tn::transferred_rate(3e-4, 256.0, 1.0), 6e-4) < 1e-12);
static_assert(near(rehearsal_of<tn::variants::base>.schedule.peak, 0.00322262) < 1e-5);

// A user edits a variant.
constexpr auto mine =
    tn::variants::base.with(tn::variants::pro_shape, tn::precision::fp16{}, tn::horizon{500_steps}).edit([](auto& r) {
      r.schedule.warmup = 5_percent;
    });
static_assert(tn::legal<mine> && mine.model.hidden == 4'096 && mine.precision.growth_interval == 2'000);

// Horizon: each unit, rounded up to whole steps of 128 x 16 = 2048 tokens.
constexpr tn::batch b{.sequence = 128_tokens, .global = 16_samples, .micro = 4_samples};
static_assert(tn::tokens_per_step(b) == 2'048_tokens && b.accumulation() == 4);
static_assert(tn::total_steps(tn::horizon{7_steps}, b) == 7_steps);
static_assert(tn::total_steps(tn::horizon{2'048_tokens}, b) == 1_steps);
static_assert(tn::total_steps(tn::horizon{2'049_tokens}, b) == 2_steps);
static_assert(tn::total_steps(tn::horizon{33_samples}, b) == 3_steps);
static_assert(tn::total_steps(tn::horizon{2_epochs}, b, 24_samples) == 3_steps);
static_assert(tn::total_steps(tn::horizon{2_epochs}, b) == 0_steps);
static_assert(tn::total_steps(tn::horizon{9'000'000'000'000'000_epochs}, b, 9'000'000'000_samples).count ==
              (1LL << 62) / 16);
static_assert(!std::is_constructible_v<tn::horizon, tn::minutes> && !std::is_constructible_v<tn::horizon, int>);

// Dtype plans.
static_assert(tn::precision::fp32::plan == tn::dtype_plan{});
static_assert(tn::precision::bf16::plan.compute == tn::dtype::bf16 &&
              tn::precision::bf16::plan.master == tn::dtype::fp32);
static_assert(tn::precision::fp16::plan.parameter == tn::dtype::fp16 &&
              tn::precision::fp16::plan.moment == tn::dtype::fp32);
static_assert(tn::size_of(tn::dtype::fp32) == 4 && tn::size_of(tn::dtype::bf16) == 2 && tn::size_of(tn::dtype::fp8) == 1);
// fp8: as the datasheets say, and by Hopper, Ada and Blackwell alone.
static_assert(tn::target::h200{}.facts().rate(tn::dtype::fp8) == 1979e3 && tn::target::l40s{}.facts().computes(tn::dtype::fp8));
static_assert(!tn::target::a100_80{}.facts().computes(tn::dtype::fp8) && !tn::target::v100{}.facts().computes(tn::dtype::fp8) && !tn::target::cpu{}.facts().computes(tn::dtype::fp8));

// TF32: the recipe's choice, in its dtype plan, where the hardware has it.
constexpr auto rounded = recipes::tiny.replace(tn::target::h100{}).replace(tn::precision::fp32{.tf32 = true});
static_assert(tn::legal<rounded> && tn::dtypes_of(rounded).product() == tn::dtype::tf32 && tn::dtypes_of(rounded).compute == tn::dtype::fp32);
static_assert(tn::dtypes_of(recipes::tiny).product() == tn::dtype::fp32 && tn::precision::bf16::plan.product() == tn::dtype::bf16);
static_assert(!tn::is_legal(rounded.replace(tn::target::v100{})) && !tn::is_legal(rounded.replace(tn::target::native{})));
static_assert(tn::target::a100_40{}.facts().rate(tn::dtype::tf32) == 156e3 && tn::size_of(tn::dtype::tf32) == 4);

// precision::native is bf16 where the target computes it, else fp32; another precision stays what it is.
template <class Target, class Precision = tn::precision::native>
using resolved = tn::resolved_precision_t<decltype(recipes::tiny.with(Target{}, Precision{}))>;
static_assert(std::is_same_v<resolved<tn::target::h200>, tn::precision::bf16>);
static_assert(std::is_same_v<resolved<tn::target::h100>, tn::precision::bf16>);
static_assert(std::is_same_v<resolved<tn::target::a100_80>, tn::precision::bf16>);
static_assert(std::is_same_v<resolved<tn::target::v100>, tn::precision::fp32>);
static_assert(std::is_same_v<resolved<tn::target::v100, tn::precision::fp16>, tn::precision::fp16>);
static_assert(
    std::is_same_v<tn::resolved_precision_t<decltype(tn::recipe(m, tn::target::cpu{}))>, tn::precision::fp32>);

// The static flags of a target agree with its facts.
template <class Target>
constexpr bool consistent =
    Target::native_bf16 == Target{}.facts().computes(tn::dtype::bf16) &&
    Target::native_fp16 == Target{}.facts().computes(tn::dtype::fp16) && Target{}.facts().computes(tn::dtype::fp32) &&
    Target{}.facts().fp32 > 0 && Target{}.facts().memory > tn::bytes{0};
static_assert(consistent<tn::target::native> && consistent<tn::target::cpu> && consistent<tn::target::h100> &&
              consistent<tn::target::h200> && consistent<tn::target::b200> && consistent<tn::target::a100_80> &&
              consistent<tn::target::a100_40> && consistent<tn::target::v100> && consistent<tn::target::l40s> &&
              consistent<tn::target::rtx_4090>);
static_assert(tn::target::v100{}.facts().rate(tn::dtype::bf16) == tn::target::v100{}.facts().fp32);  // emulated
static_assert(tn::target::h200{}.facts().rate(tn::dtype::bf16) == 989e3);

TEST("the facts of the machine come from the build") {
  auto const facts = tn::target::native{}.facts();
  EXPECT(facts.device == tn::device_kind::cpu);
  EXPECT(facts.memory.count == static_cast<std::int64_t>(TENON_NATIVE_MEMORY));
  EXPECT(facts.fp32 == static_cast<double>(TENON_NATIVE_GFLOPS));
}

}  // namespace
