// The plan of a recipe for a GPU is the arena that exec::cuda takes there (tests/cuda/step.cpp compares that with what is
// allocated); for a model that it has no layers of, the CPU's buffers.
#include "support/test.hpp"
#include "tenon/app/plan_text.hpp"
#include "tenon/exec/plan.hpp"
#include "tenon/variants/base.hpp"

using namespace tenon;
using namespace tenon::literals;

namespace {

constexpr auto on_cpu = variants::base.replace(target::cpu{.memory = 200_GiB}).replace(precision::bf16{.emulated = true});
using model = models::of_recipe<variants::base>;
constexpr auto gpu = plan<variants::base>, cpu = plan<on_cpu>;
static_assert(gpu.fits && gpu.total() == exec::cuda::arena_bytes<model, nn::bf16, 2>(4 * 4'096, 64));
static_assert(gpu.saved_bytes == cpu.saved_bytes && gpu.scratch_bytes == cpu.scratch_bytes && gpu.logits_bytes == cpu.logits_bytes);
static_assert(gpu.workspace_bytes != cpu.workspace_bytes && gpu.step_flops == cpu.step_flops);
// Moments in bf16 are half as many bytes in the arena, too.
constexpr auto narrow = variants::base.edit([](auto& r) { r.optimizer.moment = dtype::bf16; });
static_assert(plan<narrow>.total() == exec::cuda::arena_bytes<model, nn::bf16, 2>(4 * 4'096, 64, 2));
static_assert(plan<narrow>.moment_bytes * 2 == gpu.moment_bytes && plan<narrow>.workspace_bytes == gpu.workspace_bytes);
// A step's products take the time of their format: with TF32 less than in fp32, and attention as long as there.
constexpr auto full = variants::base.replace(precision::fp32{}), rounded = variants::base.replace(precision::fp32{.tf32 = true});
static_assert(plan<rounded>.seconds_per_step < 0.4 * plan<full>.seconds_per_step && plan<rounded>.seconds_per_step > gpu.seconds_per_step);
static_assert(plan<rounded>.total() == plan<full>.total());
static_assert(rates_of(target::h200{}.facts(), dtype::tf32).products == 494.5e12 && rates_of(target::h200{}.facts(), dtype::tf32).attention == 67e12);

}  // namespace

TEST("the plan says what products multiply on a GPU, and at which rate") {
  auto const says = [](auto const& r, run_plan const& p, std::string const& part) {
    auto const text = app::recipe_text(r, 100_steps) + app::needs_text(r, p, numbers_of(r), r.target.facts());
    return text.find(part) != text.npos;
  };
  EXPECT(says(rounded, plan<rounded>, "products tf32\n"));
  EXPECT(says(rounded, plan<rounded>, "compute fp32  "));
  EXPECT(says(rounded, plan<rounded>, "with 494,500 GFLOP/s and 4,800 GB/s as published"));
  EXPECT(says(full, plan<full>, "products fp32\n"));
  EXPECT(says(full, plan<full>, "with 67,000 GFLOP/s"));
  EXPECT(says(variants::base, gpu, "products bf16\n"));
  EXPECT(!says(on_cpu, cpu, "products"));
}

TEST("a GPU's workspace holds what the step sends and keeps there") {
  // cuBLASLt's 32 MiB; of each row: delta, gradients of the output, keys and values in bf16; tokens of 64 micro-batches
  constexpr std::int64_t rows = 4 * 4'096, named = (32 << 20) + rows * (16 * 4 + 3 * 2'048 * 2) + 64 * rows * 6 * 4;
  EXPECT(gpu.workspace_bytes > named);
  EXPECT(gpu.workspace_bytes < named + (96 << 20));
}
