#pragma once
#include <array>
#include <cmath>

#include "tenon/exec/cpu/vector.hpp"
#include "tenon/optim/moments.hpp"
#include "tenon/recipe/optimizer.hpp"

namespace tenon::optim {

/// State and step of an optimizer policy. Specialised on the policy's type: a user's optimizer is one policy (data) and
/// one such specialisation. `state` is an aggregate: `moments`, `updates`, and what else it needs of numbers; all of its
/// fields are in the checkpoint (train/state.hpp). `Moment`: what the policy's field `moment` names, where it has one.
template <class Policy, class Moment = float>
struct engine;

/// AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2), as torch.optim.AdamW computes it:
///   w *= 1 - rate * decay;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
///   w -= rate / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + epsilon)
/// in fp32; moments are kept in `Moment` (bf16: rounded to nearest even once a step, after the weight has moved), one flat
/// buffer each, in the layout of the parameters. Weight decay only where the role's route says so.
template <class Moment>
struct engine<optimizer::adamw, Moment> {
  static constexpr int num_moments = 2;
  static constexpr std::array<char const*, 2> moment_names{"exp_avg", "exp_avg_sq"};

  struct state {
    optim::moments<2, Moment> moments;
    std::int64_t updates = 0;  ///< t
  };
  /// What one step needs, computed once before the region: no power in the inner loop.
  struct constants {
    float decay, beta1, rest1, beta2, rest2, step, bias2, epsilon, gradient;
  };
  static constants prepare(optimizer::adamw const& p, double rate, std::int64_t t, float gradient_factor) {
    // 1 - beta is taken in fp64: in fp32, 1 - 0.999 would be off by 5e-5.
    return {float(1 - rate * p.weight_decay),
            float(p.beta1),
            float(1 - p.beta1),
            float(p.beta2),
            float(1 - p.beta2),
            float(rate / (1 - std::pow(p.beta1, double(t)))),
            float(1 / std::sqrt(1 - std::pow(p.beta2, double(t)))),
            float(p.epsilon),
            gradient_factor};
  }

  /// Elements [first, last): one pass that unscales and clips (`gradient`), decays, moves the moments, steps and rounds
  /// the master into the compute copy (`copy` == `w` when there is none).
  template <class T>
  static void update(constants const& k, state const& s, float* w, float const* g, T* copy, std::int64_t first,
                     std::int64_t last, bool decays) {
    using exec::cpu::vec, exec::cpu::load, exec::cpu::store;
    Moment *const m = s.moments.at(0), *const v = s.moments.at(1);
    vec const decay(decays ? k.decay : 1.f), b1(k.beta1), c1(k.rest1), b2(k.beta2), c2(k.rest2), step(k.step),
        bias2(k.bias2), eps(k.epsilon), factor(k.gradient);
    exec::cpu::for_registers(last - first, [&](std::int64_t j, std::int64_t c) {
      auto const i = first + j;
      vec const gradient = load(g + i, c) * factor;
      vec const mean = b1 * load(m + i, c) + c1 * gradient, square = b2 * load(v + i, c) + c2 * gradient * gradient;
      vec const moved = load(w + i, c) * decay - step * mean / (square.sqrt() * bias2 + eps);
      store(mean, m + i, c), store(square, v + i, c), store(moved, w + i, c);
      if constexpr (!std::is_same_v<T, float>) exec::cpu::narrow(w + i, copy + i, c);
    });
  }
};

}  // namespace tenon::optim
