// The module of bench/peers/decoder.hpp under autograd, trained by tenon's loop through the adapter: what the adapter adds
// to a loop written by hand (bench/peers/libtorch_loop.cpp, which trains the same module) is the difference.
//
//   bench_adapter WORKLOAD --dir DIR [--threads N]
#include <tenon/train/torch_module.hpp>
#include <tenon/tenon.hpp>

#include <string>

#include "batches.hpp"
#include "orders.hpp"
#include "peers/decoder.hpp"
#include "peers/files.hpp"
#include "product.hpp"
#include "workloads.hpp"

namespace {

namespace tn = tenon;

template <auto const& R>
struct module : peers::decoder {
  module()
      : decoder({R.model.vocab, R.model.hidden, R.model.layers, R.model.heads, R.model.kv(), R.model.intermediate, R.batch.sequence.count,
                 R.model.tied, R.model.rope_theta, R.model.norm_eps}) {}
};

/// The workload's recipe with that module for a model.
template <auto const& R>
struct adapted {
  static constexpr auto recipe = tn::recipe(tn::model::torch_module<module<R>>{.vocab = R.model.vocab}, tn::precision::fp32{}, R.horizon, R.batch, R.optimizer, R.schedule);
};

template <auto const& R>
int serve(bench::arguments const& o) {
  tn::app::require_isa();
  auto const start = bench::clock_type::now();
  constexpr auto& recipe = adapted<R>::recipe;
  tn::train::trainer<recipe> t(recipe, o.threads, tn::total_steps(recipe.horizon, recipe.batch));
  peers::load_weights(t.engine().module(), o.dir + "/weights.safetensors");
  bench::batches const data(R.batch.global.count, R.batch.sequence.count, R.model.vocab);
  bench::answer({{"ready", "adapter"}, {"version", "LibTorch " TORCH_VERSION}, {"blas", "the BLAS in LibTorch"}, {"threads", o.threads}, {"start_ms", bench::milliseconds_since(start)}});
  return bench::obey(
      o.dir,
      [&]() -> bench::stepped {
        auto const report = tn::train::step(t, data.at(t.progress().step));
        return {report.loss, report.gradient_norm};
      },
      bench::product_rate, [](std::vector<double> const&) {});  // its norm is computed as tenon computes it
}

}  // namespace

int main(int argc, char** argv) {
  return bench::guarded([&] {
    bench::arguments const o(argc, argv, "bench_adapter WORKLOAD --dir DIR [--threads N]", [](auto&&, auto&&) { return false; });
    return workloads::with(o.workload, [&]<auto const& R>() { return serve<R>(o); });
  });
}
