// Trains one of the workloads step by step under the orders of compare.py, which a peer obeys, too:
//
//   bench_step WORKLOAD [--dir DIR] [--threads N] [--clip X] [--seconds S]
//
// With --dir it writes what a peer needs to do the same work (spec.json, weights.safetensors, batches.bin: int32
// [batches][samples][sequence + 1]), prints one JSON line when ready, and answers each line of standard input with one JSON
// line: `run N` makes N steps, `product` measures the BLAS, `stats` tells the memory used, `quit` ends. Without --dir it
// measures itself for S seconds and prints a sentence.
#include <ATen/Parallel.h>
#include <tenon/tenon.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "workloads.hpp"

namespace {

namespace tn = tenon;
using clock_type = std::chrono::steady_clock;
using json = nlohmann::ordered_json;

constexpr std::int64_t num_batches = 20;

struct options {
  std::string workload, dir;
  int threads = tn::app::default_threads();
  double clip = -1, seconds = 5;  ///< clip < 0: the recipe's
};

double milliseconds_since(clock_type::time_point start) {
  return std::chrono::duration<double, std::milli>(clock_type::now() - start).count();
}

/// Peak resident memory of this process.
double peak_megabytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0) return std::stod(line.substr(6)) / 1024;
  throw tn::error("/proc/self/status tells no peak memory; run this on Linux");
}

/// Text that can be learnt: mostly, a token decides the next one. Samples of one document each.
class batches {
 public:
  batches(std::int64_t samples, std::int64_t sequence, std::int64_t vocab) : samples_(samples), sequence_(sequence) {
    tn::random_stream const random(7, "benchmark");
    std::uint64_t draw = 0;
    for (std::int64_t sample = 0; sample < num_batches * samples; ++sample)
      for (std::int64_t i = 0; i <= sequence; ++i) {
        bool const follows = i > 0 && random.uniform(draw++) < 0.8;
        ids_.push_back(follows ? std::int32_t((std::int64_t{ids_.back()} * 5 + 1) % vocab) : std::int32_t(random.uniform(draw++) * double(vocab)));
      }
  }
  void write(std::filesystem::path const& file) const {
    std::ofstream out(file, std::ios::binary);
    out.write(reinterpret_cast<char const*>(ids_.data()), std::streamsize(ids_.size() * sizeof(std::int32_t)));
    if (!out) throw tn::error("cannot write '" + file.string() + "'; is the disk full?");
  }
  tn::data::micro_batch at(std::int64_t index) const {
    tn::data::micro_batch b;
    b.samples = samples_, b.sequence = sequence_, b.num_targets = samples_ * sequence_;
    auto const* row = ids_.data() + index % num_batches * samples_ * (sequence_ + 1);
    for (std::int64_t s = 0; s < samples_; ++s, row += sequence_ + 1)
      for (std::int64_t i = 0; i < sequence_; ++i) {
        b.tokens.push_back(row[i]), b.targets.push_back(row[i + 1]);
        b.positions.push_back(std::int32_t(i)), b.document_start.push_back(0);
      }
    return b;
  }

 private:
  std::int64_t samples_, sequence_;
  std::vector<std::int32_t> ids_;
};

/// GFLOP/s of a square product of side 1024 on all threads, best of ten: whether two processes have the same BLAS.
double product_rate() {
  constexpr std::int64_t n = 1024;
  std::vector<float> a(n * n, 0.5f), b(n * n, 0.25f), c(n * n);
  double best = 1e30;
  for (int i = 0; i < 12; ++i) {
    auto const start = clock_type::now();
    tn::exec::cpu::gemm(tn::exec::cpu::op::none, tn::exec::cpu::op::none, n, n, n, a.data(), n, b.data(), n, 0.f, c.data(), n);
    if (i >= 2) best = std::min(best, milliseconds_since(start));
  }
  return 2e-6 * double(n * n * n) / best;
}

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
void write_for_peers(Trainer& t, batches const& data, std::filesystem::path const& dir) {
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

void answer(json const& j) {
  std::cout << j.dump() << std::endl;
}

template <class Trainer>
json timed_steps(Trainer& t, std::vector<tn::data::micro_batch> const& data, std::int64_t count) {
  std::vector<double> losses, times;
  for (std::int64_t i = 0; i < count; ++i) {
    auto const start = clock_type::now();
    losses.push_back(tn::train::step(t, data[std::size_t(t.progress().step % num_batches)]).loss);
    times.push_back(milliseconds_since(start));
  }
  return {{"ms", times}, {"losses", losses}};
}

template <auto const& R>
int serve(options const& o) {
  tn::app::require_isa();
  at::set_num_threads(o.threads);
  auto r = R;
  if (o.clip >= 0) r.optimizer.clip = o.clip;
  auto const start = clock_type::now();
  tn::train::trainer<R> t(r, o.threads, tn::total_steps(r.horizon, r.batch));
  batches const source(r.batch.global.count, r.batch.sequence.count, r.model.vocab);
  std::vector<tn::data::micro_batch> data;
  for (std::int64_t i = 0; i < num_batches; ++i) data.push_back(source.at(i));

  if (o.dir.empty()) {
    timed_steps(t, data, 3);
    std::vector<double> all;
    for (auto const begin = clock_type::now(); milliseconds_since(begin) < 1000 * o.seconds;)
      all.push_back(timed_steps(t, data, 1)["ms"][0]);
    std::sort(all.begin(), all.end());
    auto const median = all[all.size() / 2];
    auto const flops = double(tn::make_plan<R>(o.threads).step_flops);
    std::printf("step of %-10s %9.3f ms median, %9.3f ms least, %8.0f tokens/s, %5.1f GFLOP/s, %6.0f MB at most, %zu steps, %d threads\n",
                o.workload.c_str(), median, all.front(), double(data[0].num_targets) / median * 1000, flops / median * 1e-6,
                peak_megabytes(), all.size(), o.threads);
    return 0;
  }
  write_for_peers(t, source, o.dir);
  auto const machine = tn::app::machine_facts(o.threads);
  answer({{"ready", "tenon"}, {"workload", o.workload}, {"version", "LibTorch " + machine.libtorch}, {"compiler", machine.compiler},
          {"isa", machine.isa}, {"blas", machine.blas}, {"threads", o.threads}, {"start_ms", milliseconds_since(start)},
          {"step_flops", tn::make_plan<R>(o.threads).step_flops}});
  for (std::string word; std::cin >> word;) {
    if (word == "run") {
      std::int64_t count = 0;
      std::cin >> count;
      answer(timed_steps(t, data, count));
    } else if (word == "product") {
      answer({{"gflops", product_rate()}});
    } else if (word == "stats") {
      answer({{"peak_mb", peak_megabytes()}, {"steps", t.progress().step}});
    } else if (word == "quit") {
      return 0;
    } else {
      throw tn::error("'" + word + "' is no order; there are run N, product, stats, quit");
    }
  }
  return 0;
}

options parsed(int argc, char** argv) {
  options o;
  for (int i = 1; i < argc; ++i) {
    std::string const word = argv[i];
    auto const value = [&]() -> std::string {
      if (++i == argc) throw tn::error(word + " takes a value");
      return argv[i];
    };
    if (word == "--dir") o.dir = value();
    else if (word == "--threads") o.threads = std::stoi(value());
    else if (word == "--clip") o.clip = std::stod(value());
    else if (word == "--seconds") o.seconds = std::stod(value());
    else if (word.rfind("--", 0) == 0 || !o.workload.empty()) throw tn::error("'" + word + "' is not understood; write bench_step WORKLOAD [--dir DIR] [--threads N] [--clip X] [--seconds S]");
    else o.workload = word;
  }
  return o;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    auto const o = parsed(argc, argv);
    if (o.workload == "quickstart") return serve<quickstart>(o);
    if (o.workload == "w0") return serve<workloads::w0>(o);
    if (o.workload == "w1") return serve<workloads::w1>(o);
    if (o.workload == "w1b") return serve<workloads::w1b>(o);
    if (o.workload == "w2") return serve<workloads::w2>(o);
    throw tn::error("there is no workload '" + o.workload + "'; there are quickstart, w0, w1, w1b, w2");
  } catch (std::exception const& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
  }
}
