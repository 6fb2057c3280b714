// Generation of one sequence, token by token, under the orders of compare.py (orders.hpp): a step is one token.
//
//   bench_decode WORKLOAD [--threads N]
//
// Its ready line tells how many bytes of weights a token needs (every matrix once, one row of the embedding). `product`
// tells, in place of a product's rate, GB/s of a plain read on as many threads, over a buffer larger than the caches.
#include <ATen/Parallel.h>
#include <tenon/tenon.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "orders.hpp"
#include "workloads.hpp"

namespace {

namespace tn = tenon;
namespace cpu = tenon::exec::cpu;

/// GB/s at which the team reads memory: sums of a buffer of 1 GiB, the best of five.
class read_bandwidth {
 public:
  explicit read_bandwidth(cpu::team& team) : team_(team), memory_(bytes), sums_(std::size_t(team.size()) * 16) {
    std::fill(memory_.as<float>(), memory_.as<float>() + bytes / 4, 1.f);
  }
  double measure() {
    double best = 1e30;
    for (int i = 0; i < 6; ++i) {
      auto const start = bench::clock_type::now();
      auto region = [&](int member) { sums_[std::size_t(member) * 16] = sum(member); };
      team_.run(region);
      if (i > 0) best = std::min(best, bench::milliseconds_since(start));
    }
    return double(bytes) / best * 1e-6;
  }

 private:
  static constexpr std::int64_t bytes = std::int64_t{1} << 30;
  float sum(int member) const {
    using cpu::vec;
    constexpr int registers = 8, lanes = vec::size();
    auto const n = bytes / 4 / team_.size() / (registers * lanes) * (registers * lanes);
    float const* const p = memory_.as<float>() + member * n;
    std::array<vec, registers> total{};
    for (auto& t : total) t = vec(0.f);
    for (std::int64_t i = 0; i < n; i += registers * lanes)
      for (int r = 0; r < registers; ++r) total[std::size_t(r)] = total[std::size_t(r)] + vec::loadu(p + i + r * lanes);
    float all = 0;
    for (auto const& t : total) {
      alignas(64) float values[lanes];
      t.store(values);
      for (float v : values) all += v;
    }
    return all;
  }

  cpu::team& team_;
  tn::exec::buffer memory_;
  std::vector<float> sums_;
};

template <auto const& R>
class decoding {
  using model = tn::models::of_recipe<R>;
  using compute = tn::models::compute_of<R>;

 public:
  explicit decoding(int threads)
      : team_(threads), memory_(length, threads, length, tn::models::rotation_of(R.model)), cache_memory_(tn::nn::activation_bytes<typename model::template cache<compute>>(length, threads)) {
    store_.initialise(1, 0.02);
    store_.refresh_copy();
    tn::nn::bind_activations(cache_, cache_memory_.data(), length, threads);
    for (std::int64_t i = 0; i < length; ++i) positions_.push_back(std::int32_t(i)), start_.push_back(0);
  }
  cpu::team& team() { return team_; }

  /// One token more; a full text starts anew. The likeliest token comes next.
  float step() {
    if (past_ == length) past_ = 0;
    tn::nn::micro_batch const b{.samples = 1, .sequence = 1, .tokens = &token_, .positions = positions_.data() + past_, .document_start = start_.data(),
                                .past = past_, .rotary_cos = memory_.rotary_cos, .rotary_sin = memory_.rotary_sin};
    auto region = [&](int member) {
      cpu::executor<compute> x(team_, member, memory_.workspace(member), memory_.shared());
      model::decode(x, store_, b, memory_.saved, cache_);
    };
    team_.run(region);
    ++past_;
    float const* const logits = memory_.saved.head.logits.data;
    token_ = std::int32_t(std::max_element(logits, logits + R.model.vocab) - logits);
    return logits[token_];
  }
  static double bytes_per_token() {
    auto const table = R.model.tied ? 0 : std::int64_t{R.model.vocab} * R.model.hidden;  // of which one row is read
    return double(R.model.parameters() - table + R.model.hidden) * sizeof(compute);
  }

 private:
  static constexpr std::int64_t length = R.model.positions;
  cpu::team team_;
  tn::exec::parameter_store<model, compute> store_;
  tn::exec::activations<model, compute> memory_;
  tn::exec::buffer cache_memory_;
  typename model::template cache<compute> cache_{};
  std::vector<std::int32_t> positions_, start_;
  std::int32_t token_ = 1;
  std::int64_t past_ = 0;
};

template <auto const& R>
int serve(bench::arguments const& o) {
  tn::app::require_isa();
  at::set_num_threads(1);  // the team's members are the threads: a BLAS on OpenMP must not start more for each of them
  decoding<R> d(o.threads);
  std::unique_ptr<read_bandwidth> reading;
  bench::answer({{"ready", "decode"}, {"workload", o.workload}, {"threads", o.threads}, {"bytes_per_token", decoding<R>::bytes_per_token()}});
  return bench::obey(
      o.dir, [&]() -> bench::stepped { return {d.step(), 0}; },
      [&] {
        if (!reading) reading = std::make_unique<read_bandwidth>(d.team());
        return reading->measure();
      },
      [](std::vector<double> const&) {});
}

}  // namespace

int main(int argc, char** argv) {
  return bench::guarded([&] {
    bench::arguments const o(argc, argv, "bench_decode WORKLOAD [--threads N]", [](auto&&, auto&&) { return false; });
    return workloads::with(o.workload, [&]<auto const& R>() { return serve<R>(o); });
  });
}
