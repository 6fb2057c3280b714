// Whole trainers, with --live: the program of a recipe for a GPU where there is none; where there is one, gradients beside
// autograd's on the GPU, 200 steps beside the CPU's, the plan's bytes, graphs, memory, resume. TENON_ON_GPU_PROGRAM is
// on_gpu.cpp, built.
#include <ATen/Context.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <map>

#include "support/reference_model.hpp"
#include "support/test.hpp"
#include "tenon/exec/cuda/api.hpp"
#include "tenon/tenon.hpp"
//
#include "tenon/cuda.hpp"

using namespace tenon;
using namespace tenon::literals;

namespace {

constexpr auto on_cpu = recipe(
    model::deepseek_llm{.vocab = 320, .hidden = 64, .layers = 3, .heads = 4, .kv_heads = 2, .intermediate = 96, .positions = 64},
    target::cpu{.memory = 8_GiB}, precision::fp32{}, horizon{200_steps},
    batch{.sequence = 64_tokens, .global = 8_samples, .micro = 4_samples}, optimizer::adamw{},
    schedule::warmup_cosine{.peak = 3e-3, .warmup = 20_steps});
constexpr auto gpu_fp32 = on_cpu.replace(target::h200{});
constexpr auto gpu_bf16 = gpu_fp32.replace(precision::bf16{});
constexpr auto gpu_fp16 = gpu_fp32.replace(precision::fp16{});
constexpr auto gpu_tf32 = gpu_fp32.replace(precision::fp32{.tf32 = true});
constexpr auto gpu_narrow = gpu_bf16.edit([](auto& r) { r.optimizer.moment = dtype::bf16; });
constexpr auto gpu_sgd = gpu_fp32.replace(optimizer::sgd{}).replace(schedule::constant{.peak = 3e-2});
constexpr auto cpu_sgd = gpu_sgd.replace(target::cpu{.memory = 8_GiB});

/// Text that can be learnt; documents that end inside rows.
data::micro_batch batch_of(std::int64_t step) {
  data::micro_batch b;
  b.samples = 8, b.sequence = 64, b.num_targets = 8 * 64;
  random_stream const random(11, "text", std::uint64_t(step));
  std::uint64_t draw = 0;
  for (std::int64_t s = 0; s < b.samples; ++s) {
    std::int32_t token = std::int32_t(random.uniform(draw++) * 320), start = 0;
    for (std::int32_t i = 0; i < b.sequence; ++i) {
      if (i > 0 && random.uniform(draw++) < 0.05) start = i;
      b.tokens.push_back(token);
      token = random.uniform(draw++) < 0.8 ? (token * 5 + 1) % 320 : std::int32_t(random.uniform(draw++) * 320);
      b.targets.push_back(token), b.positions.push_back(i - start), b.document_start.push_back(start);
    }
  }
  return b;
}
template <class Trainer>
std::vector<double> losses(Trainer& t, int steps) {
  std::vector<double> all;
  for (int s = 0; s < steps; ++s) all.push_back(train::step(t, batch_of(t.progress().step)).loss);
  return all;
}
struct ended {
  int code = 0;
  std::string out;
};
ended run_program(std::string const& command) {
  ended e;
  std::FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  for (char block[4096]; std::size_t const n = std::fread(block, 1, sizeof block, pipe);) e.out.append(block, n);
  int const status = ::pclose(pipe);
  e.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return e;
}
bool there_is_one() { return exec::cuda::device_count() > 0; }

at::Tensor on(at::Device where, std::vector<std::int32_t> const& v) {
  return at::from_blob(const_cast<std::int32_t*>(v.data()), {std::int64_t(v.size())}, at::kInt).to(at::kLong).to(where);
}
template <auto const& R>
std::vector<float> gradients(trainer<R>& t) {
  auto& engine = t.engine();
  std::vector<float> all(std::size_t(engine.size()));
  if constexpr (trainer<R>::on_device) {
    exec::cuda::copy_to_host(engine.device().stream(), all.data(), engine.device().gradient(), engine.size() * 4);
    exec::cuda::wait_for(engine.device().stream());
  } else {
    std::copy_n(engine.gradient(), all.size(), all.begin());
  }
  return all;
}
/// The first step's loss, and each parameter's gradient, beside LibTorch's autograd in fp64 on `where`: the largest
/// difference, as a share of the norm.
template <auto const& R>
double apart_from_autograd(at::Device where) {
  trainer<R> t(R, 1, 200_steps);
  auto const batch = batch_of(0);
  constexpr auto compute = trainer<R>::precision::compute;
  constexpr auto format = compute == dtype::bf16 ? at::kBFloat16 : compute == dtype::fp16 ? at::kHalf : at::kFloat;
  reference::parameters p;
  for (auto const& place : t.engine().places()) {
    auto const values = at::from_blob(t.engine().master() + place.offset, {place.rows, place.cols}, at::kFloat);
    auto const held = values.to(format).to(at::kDouble).to(where);  // as the layers read it
    p[place.name] = (place.rank == 1 ? held.view({place.cols}) : held).detach().requires_grad_(true);
  }
  double const scale = t.loss_scale();
  auto const report = train::step(t, batch);
  auto const& m = R.model;
  auto const out = reference::logits(p, {m.layers, m.heads, m.kv(), m.tied, m.norm_eps, m.rope_theta}, on(where, batch.tokens),
                                     on(where, batch.positions), on(where, batch.document_start), batch.samples, batch.sequence);
  auto const loss = at::cross_entropy_loss(out, on(where, batch.targets), {}, /*reduction: sum*/ 2, -1) / double(batch.num_targets);
  loss.backward();
  double most = std::abs(loss.template item<double>() - double(report.loss)) / loss.template item<double>();
  auto const have = gradients<R>(t);
  for (auto const& place : t.engine().places()) {
    auto const want = p.at(place.name).grad().to(at::kCPU).contiguous();
    double off = 0, norm = 0;
    for (std::int64_t i = 0; i < place.size(); ++i) {
      double const w = want.template const_data_ptr<double>()[i], d = double(have[std::size_t(place.offset + i)]) / scale - w;
      off += d * d, norm += w * w;
    }
    double const share = std::sqrt(off / norm);
    if (!(share <= most)) most = share;  // a NaN stays
  }
  return most;
}

/// Largest difference of 200 losses.
template <auto const& R>
double apart(std::vector<double> const& wanted) {
  trainer<R> t(R, 1, 200_steps);
  EXPECT_EQ(t.engine().device().bytes(), make_plan<R>().total());
  auto const have = losses(t, int(wanted.size()));
  EXPECT(t.engine().device().replays());
  double most = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) most = std::max(most, std::abs(have[i] - wanted[i]));
  return most;
}
/// What a checkpoint would hold, in memory.
struct kept_state {
  std::map<std::string, std::vector<float>> tensors;
  std::map<std::string, std::int64_t> integers;
  std::map<std::string, double> reals;
  bool loading = false;
  void tensor(train::file, std::string const& name, std::vector<std::int64_t> const& shape, float* data) {
    std::size_t n = 1;
    for (auto const s : shape) n *= std::size_t(s);
    if (loading)
      std::copy_n(tensors.at(name).data(), n, data);
    else
      tensors[name].assign(data, data + n);
  }
  void number(std::string const& name, std::int64_t& v) { loading ? void(v = integers.at(name)) : void(integers[name] = v); }
  void number(std::string const& name, double& v) { loading ? void(v = reals.at(name)) : void(reals[name] = v); }
};

}  // namespace

TEST("a program for a GPU plans without one, and its launch is one sentence") {
  std::string const program = TENON_ON_GPU_PROGRAM;
  auto const plan = run_program(program + " --plan");
  EXPECT_EQ(plan.code, 0);
  EXPECT(plan.out.find("on the target") != std::string::npos);
  if (there_is_one()) return;
  auto const start = run_program(program + " --data " + std::getenv("TENON_SOURCE_DIR") + "/docs --run no_run");
  EXPECT_EQ(start.code, 2);
  EXPECT(start.out.find("[tenon.gpu_present] the recipe's target is a GPU") != std::string::npos);
  EXPECT(!std::filesystem::exists("no_run"));
}

TEST("the CPU's gradients are autograd's: what the next test compares with") {
  EXPECT(apart_from_autograd<on_cpu>(at::kCPU) < 1e-5);
}

TEST("loss and gradients on a GPU are autograd's there, in each format" * doctest::skip(!there_is_one())) {
  at::Device const where = at::hasCUDA() ? at::kCUDA : at::kCPU;  // a LibTorch without its CUDA part
  EXPECT(apart_from_autograd<gpu_fp32>(where) < 2e-5);
  EXPECT(apart_from_autograd<gpu_tf32>(where) < 5e-3);
  EXPECT(apart_from_autograd<gpu_bf16>(where) < 3e-2);
  EXPECT(apart_from_autograd<gpu_fp16>(where) < 5e-3);
}

TEST("a trainer's graph gives the bits of no graph, and no memory is taken after the first steps" * doctest::skip(!there_is_one())) {
  auto const taken = [] {  // of the whole device: nobody else may work on it meanwhile
    std::size_t free = 0, all = 0;
    exec::cuda::check(cudaMemGetInfo(&free, &all), "asking for the memory");
    return all - free;
  };
  trainer<gpu_bf16> with(gpu_bf16, 1, 200_steps), without(gpu_bf16, 1, 200_steps);
  without.engine().device().allow_graphs(false);
  auto const wanted = losses(without, 4);
  auto have = losses(with, 3);
  auto const before = taken();
  have.push_back(losses(with, 1)[0]);
  losses(with, 5);
  EXPECT_EQ(taken(), before);
  EXPECT(with.engine().device().replays());
  EXPECT(!without.engine().device().replays());
  EXPECT(have == wanted);
}

TEST("200 steps on a GPU are those of the CPU, in each format" * doctest::skip(!there_is_one())) {
  trainer<on_cpu> cpu(on_cpu, 2, 200_steps);
  auto const wanted = losses(cpu, 200);
  EXPECT(wanted.back() < wanted.front() - 1);
  EXPECT(apart<gpu_fp32>(wanted) < 2e-3);
  EXPECT(apart<gpu_bf16>(wanted) < 0.1);
  EXPECT(apart<gpu_fp16>(wanted) < 0.05);
  EXPECT(apart<gpu_tf32>(wanted) < 0.05);
  EXPECT(apart<gpu_narrow>(wanted) < 0.1);
  trainer<cpu_sgd> sgd(cpu_sgd, 2, 200_steps);
  EXPECT(apart<gpu_sgd>(losses(sgd, 200)) < 2e-3);
}

TEST("a resume on a GPU is bit-equal, and a run may come from the CPU" * doctest::skip(!there_is_one())) {
  trainer<gpu_fp16> straight(gpu_fp16, 1, 200_steps), first(gpu_fp16, 1, 200_steps), second(gpu_fp16, 1, 200_steps);
  auto const wanted = losses(straight, 12);
  losses(first, 6);
  kept_state kept;
  train::visit_state(first, kept);
  kept.loading = true;
  train::visit_state(second, kept);
  second.engine().refresh_copy();
  auto const have = losses(second, 6);
  for (std::size_t i = 0; i < have.size(); ++i) EXPECT_EQ(have[i], wanted[i + 6]);
  EXPECT_EQ(train::step(straight, batch_of(12)).gradient_norm, train::step(second, batch_of(12)).gradient_norm);

  trainer<on_cpu> cpu(on_cpu, 2, 200_steps);
  losses(cpu, 6);
  kept_state from_cpu;
  train::visit_state(cpu, from_cpu);
  trainer<gpu_fp32> gpu(gpu_fp32, 1, 200_steps);
  from_cpu.loading = true;
  train::visit_state(gpu, from_cpu);
  gpu.engine().refresh_copy();
  EXPECT_NEAR(losses(gpu, 1)[0], losses(cpu, 1)[0], 1e-4);
}
