// The same step written by hand on LibTorch, as an engineer does who has no tenon: a torch::nn::Module, autograd, and an
// own loop over the parameters that clips, decays, moves the moments and steps in one pass. Nothing of tenon's inside.
//
//   bench_libtorch_loop WORKLOAD --dir DIR [--threads N]
//
// DIR is what bench_step wrote; orders are those of orders.hpp.
#include <ATen/Parallel.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/mm.h>
#include <torch/version.h>

#include <cmath>
#include <string>
#include <vector>

#include "orders.hpp"
#include "peers/decoder.hpp"
#include "peers/files.hpp"

namespace {

using bench::json;
constexpr std::int64_t grain = 32768;  // elements of a parameter that are worth a thread

/// AdamW as torch.optim.AdamW computes it, over memory of its own.
class adamw {
 public:
  adamw(std::vector<at::Tensor> parameters, nlohmann::json const& spec)
      : parameters_(std::move(parameters)), beta1_(spec["beta1"]), beta2_(spec["beta2"]), epsilon_(spec["epsilon"]), decay_(spec["weight_decay"]) {
    for (auto const& p : parameters_) mean_.emplace_back(std::size_t(p.numel()), 0.f), square_.emplace_back(std::size_t(p.numel()), 0.f);
  }
  double norm() const {
    double total = 0;
    for (auto const& p : parameters_) {
      auto const* g = p.grad().const_data_ptr<float>();
      total += at::parallel_reduce(0, p.numel(), grain, 0.0, [g](std::int64_t from, std::int64_t to, double sum) {
        for (std::int64_t first = from; first < to; first += 4096) {
          float part = 0;
          auto const last = std::min(to, first + 4096);
#pragma omp simd reduction(+ : part)
          for (std::int64_t i = first; i < last; ++i) part += g[i] * g[i];
          sum += double(part);
        }
        return sum;
      }, std::plus<>());
    }
    return std::sqrt(total);
  }
  void step(double rate, double factor) {
    ++steps_;
    auto const b1 = float(beta1_), c1 = float(1 - beta1_), b2 = float(beta2_), c2 = float(1 - beta2_), eps = float(epsilon_), scale = float(factor);
    auto const size = float(rate / (1 - std::pow(beta1_, steps_))), correction = float(1 / std::sqrt(1 - std::pow(beta2_, steps_)));
    for (std::size_t j = 0; j < parameters_.size(); ++j) {
      auto& p = parameters_[j];
      auto* const w = p.mutable_data_ptr<float>();
      auto const* const g = p.grad().const_data_ptr<float>();
      float *const m = mean_[j].data(), *const v = square_[j].data();
      auto const keep = p.dim() == 2 ? float(1 - rate * decay_) : 1.f;  // no decay of norms
      at::parallel_for(0, p.numel(), grain, [=](std::int64_t from, std::int64_t to) {
#pragma omp simd
        for (std::int64_t i = from; i < to; ++i) {
          float const gradient = g[i] * scale;
          m[i] = b1 * m[i] + c1 * gradient;
          v[i] = b2 * v[i] + c2 * gradient * gradient;
          w[i] = w[i] * keep - size * m[i] / (std::sqrt(v[i]) * correction + eps);
        }
      });
    }
  }

 private:
  std::vector<at::Tensor> parameters_;
  std::vector<std::vector<float>> mean_, square_;
  double beta1_, beta2_, epsilon_, decay_;
  int steps_ = 0;
};

double product_rate() {
  auto const a = torch::full({1024, 1024}, 0.5f), b = torch::full({1024, 1024}, 0.25f);
  auto c = torch::empty({1024, 1024});
  double best = 1e30;
  for (int i = 0; i < 12; ++i) {
    auto const start = bench::clock_type::now();
    at::mm_out(c, a, b);
    if (i >= 2) best = std::min(best, bench::milliseconds_since(start));
  }
  return 2e-6 * 1024. * 1024. * 1024. / best;
}

int serve(bench::arguments const& o) {
  at::set_num_threads(o.threads);
  auto const start = bench::clock_type::now();
  auto const spec = nlohmann::json::parse(peers::text_of(o.dir + "/spec.json"));
  peers::decoder model(peers::sizes_of(spec));
  peers::load_weights(model, o.dir + "/weights.safetensors");
  auto const batches = peers::load_batches(spec, o.dir + "/batches.bin");
  auto const parameters = model.parameters();
  adamw optimizer(parameters, spec);
  auto const rates = spec["rates"].get<std::vector<double>>();
  double const clip = spec["clip"];
  std::int64_t const vocab = spec["vocab"];
  std::vector<double> pinned;
  std::size_t steps = 0;
  bench::answer({{"ready", "libtorch"}, {"version", "LibTorch " TORCH_VERSION}, {"blas", "the BLAS in LibTorch"}, {"threads", o.threads}, {"start_ms", bench::milliseconds_since(start)}});
  return bench::obey(
      o.dir,
      [&]() -> bench::stepped {
        auto const& b = batches[steps % batches.size()];
        for (auto p : parameters) p.mutable_grad().reset();  // the first writer of a gradient gives its memory: no clearing
        auto const loss = at::cross_entropy_loss(model.forward(b.tokens).view({-1, vocab}), b.targets.view({-1}));
        loss.backward();
        auto const norm = steps < pinned.size() ? pinned[steps] : optimizer.norm();
        auto const factor = clip > 0 ? std::min(1.0, clip / (norm + 1e-6)) : 1.0;
        optimizer.step(rates[steps % rates.size()], factor);
        ++steps;
        return {loss.item<double>(), norm};
      },
      product_rate, [&](std::vector<double> norms) { pinned = std::move(norms); });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::guarded([&] {
    bench::arguments const o(argc, argv, "bench_libtorch_loop WORKLOAD --dir DIR [--threads N]", [](auto&&, auto&&) { return false; });
    return serve(o);
  });
}
