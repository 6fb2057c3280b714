#pragma once
// The kernels and the engine of include/tenon/exec/cuda on a GPU (TENON_ON_GPU), or compiled by g++ and run on the emulated
// one (tests/cuda/emulation). The tests are the same.
#include <cmath>
#include <cstring>
#include <vector>

#include "support/micro_batch.hpp"
#include "support/test.hpp"
#include "support/toy_executor.hpp"
#include "tenon/exec/activations.hpp"
#include "tenon/exec/cuda/engine.hpp"
#include "tenon/exec/store.hpp"
#include "tenon/models/deepseek_llm.hpp"

namespace rigs {

using namespace tenon;

template <int Kv, bool Tied, int Every = 0>
using dense = models::deepseek_llm<70, 40, 2, 4, Kv, 52, 48, Tied, nn::bits(1e-6), Every>;
using untied = dense<2, false>;
using tied = dense<1, true, 1>;

#ifdef TENON_ON_GPU
inline constexpr bool on_emulation = false;
/// The kernel of the hardware may add in another order than the plain loops; cuBLASLt does.
inline constexpr double slack = 10;
#else
inline constexpr bool on_emulation = true;
inline constexpr double slack = 1;
#endif

/// How each 16 parameters are treated, from the places of a model: as optim::regions says.
template <class Model>
std::vector<std::uint8_t> granules() {
  std::vector<std::uint8_t> map(std::size_t(exec::cuda::num_granules(exec::flat_layout<Model>::total)), 0);
  for (auto const& p : exec::parameter_places<Model>())
    for (std::int64_t i = p.offset / 16; i < (p.offset + p.size() + 15) / 16; ++i)
      map[std::size_t(i)] = std::uint8_t(exec::cuda::trained | exec::cuda::counted | (p.parameter_role == nn::role::norm ? 0 : exec::cuda::decayed));
  return map;
}

inline exec::cuda::step_rules adamw(double clip = 1, bool scales = false) {
  exec::cuda::step_rules r;
  r.beta1 = 0.9, r.beta2 = 0.95, r.epsilon = 1e-8, r.weight_decay = 0.1, r.clip = clip;
  r.scales = scales, r.growth = 2, r.backoff = 0.5, r.growth_interval = 3;
  return r;
}

/// Documents that end inside samples, several micro-batches in one.
struct step_rows {
  std::vector<std::int32_t> tokens, targets, positions, document_start;
  std::int64_t samples = 0, sequence = 0, count = 0;
  step_rows(std::int64_t micro_batches, std::int64_t micro, std::int64_t sequence_, int vocab, std::uint64_t seed)
      : samples(micro_batches * micro), sequence(sequence_) {
    random_batch const b(samples, sequence, vocab, seed);
    tokens = b.tokens, targets = b.targets, positions = b.positions, document_start = b.document_start, count = b.count();
  }
  nn::micro_batch view(std::int64_t first, std::int64_t n) const {
    auto const at = first * sequence;
    return {.samples = n, .sequence = sequence, .tokens = tokens.data() + at, .targets = targets.data() + at,
            .positions = positions.data() + at, .document_start = document_start.data() + at};
  }
};

/// Host values that both sides start from; norms away from 1.
template <class Model, class Compute>
void start(exec::parameter_store<Model, Compute>& s) {
  s.initialise(7, 0.2);
  random_stream const random(3, "norms");
  for (auto const& p : exec::parameter_places<Model>())
    if (p.parameter_role == nn::role::norm)
      for (std::int64_t i = 0; i < p.size(); ++i) s.master()[p.offset + i] = float(1 + 0.3 * random.normal(std::uint64_t(p.offset + i)));
  s.refresh_copy();
}

/// Loss per token and gradients by tests/support/toy_executor.hpp, which says in plain loops what each operation means.
template <class Model>
double toy_step(exec::parameter_store<Model, float>& store, step_rows const& rows, std::int64_t micro, nn::rotation const& turn) {
  exec::activations<Model, float> memory(micro * rows.sequence, 1, rows.sequence, turn);
  toy_executor x;
  *memory.saved.head.loss.row(0) = 0;
  double loss = 0;
  for (std::int64_t first = 0; first < rows.samples; first += micro) {
    nn::clear_tiles(x, memory.saved.head.loss, micro * rows.sequence);
    auto b = rows.view(first, micro);
    b.rotary_cos = memory.rotary_cos, b.rotary_sin = memory.rotary_sin;
    Model::forward_backward(x, store, b, memory.saved, memory.scratch, 1.f / float(rows.count), first == 0);
    loss += nn::sum_of_tiles(memory.saved.head.loss, micro * rows.sequence);
  }
  return loss / double(rows.count);
}

/// The model on the emulated GPU.
template <class Model, class Compute, int Moments = 2, class Moment = float>
struct rig {
  using device = exec::cuda::device<Model, Compute, Moments, exec::cuda::own_attention, Moment>;
  std::int64_t micro, sequence, micro_batches;
  exec::parameter_store<Model, Compute> host;
  device on;

  rig(std::int64_t micro_, std::int64_t sequence_, std::int64_t micro_batches_, exec::cuda::step_rules const& rules, double scale = 1)
      : micro(micro_),
        sequence(sequence_),
        micro_batches(micro_batches_),
        on(0, micro, sequence, micro_batches, nn::rotation{10000}, rules, granules<Model>()) {
    start(host);
    exec::cuda::step_numbers n;
    n.scale = scale;
    on.load(host.master(), {}, n);
  }
  exec::cuda::step_numbers step(step_rows const& rows, double rate) {
    on.step(rows.view(0, rows.samples), rate, rows.count);
    return on.report();
  }
  std::vector<float> gradients() const { return copied(on.gradient()); }
  std::vector<float> weights() const { return copied(on.master()); }
  std::vector<float> copied(float const* from) const {
    std::vector<float> all(std::size_t(device::size));
    exec::cuda::copy_to_host(on.stream(), all.data(), from, device::size * 4);
    exec::cuda::wait_for(on.stream());
    return all;
  }
};

template <class Model>
inline constexpr std::int64_t model_size = exec::flat_layout<Model>::total;

inline bool same_bits(std::vector<float> const& a, std::vector<float> const& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

/// The worst difference of a parameter's values, as a share of their norm.
template <class Model>
double worst(std::vector<float> const& have, float const* want) {
  double most = 0;
  for (auto const& p : exec::parameter_places<Model>()) {
    double off = 0, norm = 0;
    for (std::int64_t i = p.offset; i < p.offset + p.size(); ++i) {
      double const d = double(have[std::size_t(i)]) - double(want[i]);
      off += d * d, norm += double(want[i]) * double(want[i]);
    }
    double const share = std::sqrt(off) / std::sqrt(norm);
    if (!(share <= most)) most = share;  // a NaN stays
  }
  return most;
}

}  // namespace rigs
