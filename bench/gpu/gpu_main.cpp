// Trains one shape on a GPU under the orders of gpu.py (orders.hpp):  bench_gpu SHAPE [--dir DIR]. With --dir it writes what
// a peer needs to do the same work. `run N`: N steps, the GPU waited for after each; `product`: cuBLASLt's own rate in bf16.
#include <tenon/tenon.hpp>
//
#include <tenon/cuda.hpp>

#include <filesystem>
#include <fstream>

#include "batches.hpp"
#include "orders.hpp"

namespace {

namespace tn = tenon;
using namespace tenon::literals;
using bench::json;

constexpr auto on_gpu(tn::model::deepseek_llm model) {
  return tn::recipe(model, tn::target::h200{}, tn::precision::bf16{}, tn::horizon{100'000_steps},
                    tn::batch{.sequence = 2'048_tokens, .global = 8_samples, .micro = 8_samples}, tn::optimizer::adamw{},
                    tn::schedule::constant{.peak = 3e-4});
}
inline constexpr auto small = on_gpu({.vocab = 50'304, .hidden = 768, .layers = 12, .heads = 12, .intermediate = 2'048, .positions = 2'048, .tied = true});
inline constexpr auto base = on_gpu({.vocab = 32'256, .hidden = 2'048, .layers = 21, .heads = 16, .intermediate = 5'504, .positions = 2'048});
static_assert(small.model.parameters() == 123'587'328);

/// GFLOP/s of a square product of side 8192 in bf16, the best of ten.
double product_rate() {
  using namespace tn::exec::cuda;
  constexpr std::int64_t n = 8192;
  device_memory const a(n * n * 2), b(n * n * 2), c(n * n * 2), room(gemm_workspace);
  auto const s = make_stream();
  gemm product(room.data());
  double least = 1e30;
  for (int i = 0; i < 12; ++i) {
    auto const start = bench::clock_type::now();
    product(s.get(), {op::none, op::transpose, n, n, n, false}, reinterpret_cast<tn::nn::bf16 const*>(a.data()),
            reinterpret_cast<tn::nn::bf16 const*>(b.data()), reinterpret_cast<tn::nn::bf16*>(c.data()));
    wait_for(s.get());
    if (i > 1) least = std::min(least, bench::milliseconds_since(start));
  }
  return 2e-6 * double(n) * double(n) * double(n) / least;
}

struct file_sink {
  std::ofstream out;
  void write(void const* data, std::size_t size) { out.write(static_cast<char const*>(data), std::streamsize(size)); }
};

template <auto const& R>
int serve(bench::arguments const& o) {
  if (tn::exec::cuda::device_count() == 0)
    throw tn::error("no GPU was found; look at nvidia-smi and CUDA_VISIBLE_DEVICES");
  auto const start = bench::clock_type::now();
  tn::trainer<R> t(R, 1, tn::total_steps(R.horizon, R.batch));
  auto const& r = t.recipe();
  bench::batches const data(r.batch.global.count, r.batch.sequence.count, r.model.vocab);
  if (!o.dir.empty()) {
    std::filesystem::path const dir = o.dir;
    std::filesystem::create_directories(dir);
    std::vector<tn::checkpoint::tensor_view> tensors;
    for (auto const& p : t.engine().places())
      tensors.push_back({p.name, tn::checkpoint::dtype::F32, p.shape(), t.engine().master() + p.offset});
    file_sink weights{std::ofstream(dir / "weights.safetensors", std::ios::binary)};
    tn::checkpoint::write_safetensors(weights, tensors);
    auto const& m = r.model;
    auto const& a = r.optimizer;
    std::ofstream spec(dir / "spec.json");
    spec << json{{"vocab", m.vocab.get()}, {"hidden", m.hidden.get()}, {"layers", m.layers.get()}, {"heads", m.heads.get()},
                 {"kv_heads", m.kv()}, {"intermediate", m.intermediate.get()}, {"tied", m.tied.get()}, {"rope_theta", m.rope_theta.get()},
                 {"norm_eps", m.norm_eps.get()}, {"samples", r.batch.global.count}, {"sequence", r.batch.sequence.count},
                 {"parameters", m.parameters()}, {"beta1", a.beta1}, {"beta2", a.beta2}, {"epsilon", a.epsilon},
                 {"weight_decay", a.weight_decay}, {"clip", a.clip}, {"rates", {r.schedule.peak}}}.dump(1) << '\n';
    data.write(dir / "batches.bin");
    if (!weights.out.flush() || !spec.flush()) throw tn::error("cannot write into '" + o.dir + "'; is the disk full?");
  }
  auto const f = tn::train::engine_on<tn::model::deepseek_llm, tn::device_kind::cuda>::facts();
  auto const plan = tn::make_plan<R>();
  bench::answer({{"ready", "tenon"}, {"gpu", f.name}, {"capability", f.capability}, {"step_flops", plan.step_flops},
                 {"tokens", plan.tokens_per_step}, {"planned_mb", double(plan.total()) / 1048576},
                 {"taken_mb", double(t.engine().device().bytes()) / 1048576}, {"start_ms", bench::milliseconds_since(start)}});
  auto const step = [&]() -> bench::stepped {
    auto const report = tn::train::step(t, data.at(t.progress().step));
    return {report.loss, report.gradient_norm};
  };
  return bench::obey(o.dir, step, product_rate, [](std::vector<double> const&) {});
}

}  // namespace

int main(int argc, char** argv) {
  return bench::guarded([&] {
    bench::arguments const o(argc, argv, "bench_gpu 124m|base [--dir DIR]", [](std::string const&, auto&&) { return false; });
    if (o.workload == "124m") return serve<small>(o);
    if (o.workload == "base") return serve<base>(o);
    throw tn::error("there is no shape '" + o.workload + "'; there are 124m and base");
  });
}
