// Trains one of the workloads step by step under the orders of compare.py, which a peer obeys, too (orders.hpp):
//
//   bench_step WORKLOAD [--dir DIR] [--orders] [--evaluate] [--threads N] [--seconds S]
//
// With --dir it writes what a peer needs to do the same work (spec.json, weights.safetensors, batches.bin) and then takes
// orders; with --orders alone it takes orders and writes nothing. --evaluate: a step is the loss of a batch, forward only. Else it measures itself for S seconds and prints a
// sentence.
#include <ATen/Parallel.h>
#include <tenon/tenon.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "batches.hpp"
#include "orders.hpp"
#include "product.hpp"
#include "workloads.hpp"

namespace {

namespace tn = tenon;
using bench::json;

struct file_sink {
  std::ofstream out;
  void write(void const* data, std::size_t size) { out.write(static_cast<char const*>(data), std::streamsize(size)); }
};

template <class Trainer>
json spec_of(Trainer const& t) {
  auto const& r = t.recipe();
  json rates = json::array();
  for (std::int64_t s = 0; s < t.total().count; ++s) rates.push_back(r.schedule.at(tn::steps{s}, t.total(), tn::tokens_per_step(r.batch)));
  auto const& m = r.model;
  auto const& o = r.optimizer;
  return {{"vocab", m.vocab.get()}, {"hidden", m.hidden.get()}, {"layers", m.layers.get()}, {"heads", m.heads.get()},
          {"kv_heads", m.kv()}, {"intermediate", m.intermediate.get()}, {"tied", m.tied.get()}, {"rope_theta", m.rope_theta.get()},
          {"norm_eps", m.norm_eps.get()}, {"samples", r.batch.global.count}, {"sequence", r.batch.sequence.count},
          {"parameters", m.parameters()}, {"beta1", o.beta1}, {"beta2", o.beta2}, {"epsilon", o.epsilon},
          {"weight_decay", o.weight_decay}, {"clip", o.clip}, {"rates", rates}};
}

template <class Trainer>
void write_for_peers(Trainer& t, bench::batches const& data, std::filesystem::path const& dir) {
  std::filesystem::create_directories(dir);
  std::vector<tn::checkpoint::tensor_view> tensors;
  for (auto const& p : t.engine().places())
    tensors.push_back({p.name, tn::checkpoint::dtype::F32, p.shape(), t.engine().master() + p.offset});
  file_sink weights{std::ofstream(dir / "weights.safetensors", std::ios::binary)};
  tn::checkpoint::write_safetensors(weights, tensors);
  std::ofstream spec(dir / "spec.json");
  spec << spec_of(t).dump(1) << '\n';
  data.write(dir / "batches.bin");
  if (!weights.out.flush() || !spec.flush()) throw tn::error("cannot write into '" + dir.string() + "'; is the disk full?");
}

template <auto const& R>
int measure_alone(bench::arguments const& o, double seconds, auto&& step) {
  for (int i = 0; i < 3; ++i) step();
  std::vector<double> all;
  for (auto const begin = bench::clock_type::now(); all.empty() || bench::milliseconds_since(begin) < 1000 * seconds;) {
    auto const start = bench::clock_type::now();
    step();
    all.push_back(bench::milliseconds_since(start));
  }
  std::sort(all.begin(), all.end());
  auto const median = all[all.size() / 2];
  auto const tokens = double(tn::tokens_per_step(R.batch).count);
  auto const flops = double(tn::make_plan<R>(o.threads).step_flops);
  std::printf("step of %-10s %9.3f ms median, %9.3f ms least, %8.0f tokens/s, %5.1f GFLOP/s, %6.0f MB at most, %zu steps, %d threads\n",
              o.workload.c_str(), median, all.front(), tokens / median * 1000, flops / median * 1e-6, bench::peak_megabytes(), all.size(), o.threads);
  return 0;
}

/// Nats per token of a batch, without a backward pass.
template <class Trainer>
double loss_of(Trainer& t, tn::data::micro_batch const& batch) {
  auto region = [&](int member) {
    auto x = t.engine().on(t.team(), member);
    t.engine().clear_loss(x);
    for (std::int64_t first = 0; first < batch.samples; first += t.micro_samples())
      t.engine().evaluate(x, tn::train::rows_of(batch, first, t.micro_samples()));
  };
  t.team().run(region);
  return t.engine().loss_sum() / double(batch.num_targets);
}

template <auto const& R>
int serve(bench::arguments const& o, double seconds, bool orders, bool evaluate) {
  tn::app::require_isa();
  at::set_num_threads(o.threads);
  auto const start = bench::clock_type::now();
  tn::train::trainer<R> t(R, o.threads, tn::total_steps(R.horizon, R.batch));
  bench::batches const data(R.batch.global.count, R.batch.sequence.count, R.model.vocab);
  std::int64_t evaluated = 0;
  auto const step = [&]() -> bench::stepped {
    if (evaluate) return {loss_of(t, data.at(evaluated++)), 0};
    auto const report = tn::train::step(t, data.at(t.progress().step));
    return {report.loss, report.gradient_norm};
  };
  if (o.dir.empty() && !orders) return measure_alone<R>(o, seconds, step);
  if (!o.dir.empty()) write_for_peers(t, data, o.dir);
  bool const own_gemm = tenon::exec::cpu::own_product<float>;
  auto const machine = tn::app::machine_facts(o.threads);
  bench::answer({{"ready", "tenon"}, {"workload", o.workload}, {"version", "LibTorch " + machine.libtorch}, {"compiler", machine.compiler},
                 {"isa", machine.isa}, {"blas", own_gemm ? "tenon's own" : machine.blas}, {"threads", o.threads},
                 {"start_ms", bench::milliseconds_since(start)}, {"step_flops", tn::make_plan<R>(o.threads).step_flops},
                 {"planned_mb", double(tn::make_plan<R>(o.threads).total()) / 1048576}});
  // Its norms are what the peers are pinned to, so there is nothing to pin here.
  return bench::obey(o.dir, step, bench::product_rate, [](std::vector<double> const&) {});
}

}  // namespace

int main(int argc, char** argv) {
  return bench::guarded([&] {
    double seconds = 5;
    bool orders = false, evaluate = false;
    bench::arguments const o(argc, argv, "bench_step WORKLOAD [--dir DIR] [--orders] [--evaluate] [--threads N] [--seconds S]", [&](std::string const& word, auto&& value) {
      if (word == "--seconds") return seconds = std::stod(value()), true;
      if (word == "--orders") return orders = true;
      return word == "--evaluate" && (evaluate = true);
    });
    return workloads::with(o.workload, [&]<auto const& R>() { return serve<R>(o, seconds, orders, evaluate); });
  });
}
