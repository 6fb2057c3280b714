#pragma once
#include "tenon/optim/adamw.hpp"

namespace tenon::optim {

/// Stochastic gradient descent with momentum, as torch.optim.SGD computes it (dampening 0), with decoupled weight
/// decay:
///   w *= 1 - rate * decay;  b = momentum * b + g  (b = g on the first step);  w -= rate * (nesterov ? g + momentum * b
///   : b)
template <class Moment>
struct engine<optimizer::sgd, Moment> {
  static constexpr int num_moments = 1;
  static constexpr std::array<char const*, 1> moment_names{"momentum_buffer"};

  struct state {
    optim::moments<1, Moment> moments;
    std::int64_t updates = 0;
  };
  struct constants {
    float decay, momentum, nesterov, rate, gradient;
  };
  static constants prepare(optimizer::sgd const& p, double rate, std::int64_t, float gradient_factor) {
    return {float(1 - rate * p.weight_decay), float(p.momentum), p.nesterov ? 1.f : 0.f, float(rate), gradient_factor};
  }
  template <class T>
  static void update(constants const& k, state const& s, float* w, float const* g, T* copy, std::int64_t first,
                     std::int64_t last, bool decays) {
    using exec::cpu::vec, exec::cpu::load, exec::cpu::store;
    Moment* const b = s.moments.at(0);
    // One formula for both forms: step = (1 - nesterov) * b + nesterov * (g + momentum * b).
    vec const decay(decays ? k.decay : 1.f), momentum(k.momentum), on_b(1 - k.nesterov + k.nesterov * k.momentum),
        on_g(k.nesterov), rate(k.rate), factor(k.gradient);
    exec::cpu::for_registers(last - first, [&](std::int64_t j, std::int64_t c) {
      auto const i = first + j;
      vec const gradient = load(g + i, c) * factor, velocity = momentum * load(b + i, c) + gradient;
      store(velocity, b + i, c);
      store(load(w + i, c) * decay - rate * (on_b * velocity + on_g * gradient), w + i, c);
      if constexpr (!std::is_same_v<T, float>) exec::cpu::narrow(w + i, copy + i, c);
    });
  }
};

}  // namespace tenon::optim
