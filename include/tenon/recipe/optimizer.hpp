#pragma once
#include <string_view>

#include "tenon/core/fixed.hpp"
#include "tenon/recipe/axes.hpp"
#include "tenon/recipe/dtype.hpp"

namespace tenon::optimizer {

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), bias-corrected.
struct adamw {
  using axis = tenon::axis::optimizer;
  static constexpr std::string_view kind = "adamw";
  static constexpr std::string_view read_by = "optim::engine";
  static constexpr int moments = 2;  ///< tensors of state per parameter

  double beta1 = 0.9;         ///< decay of the first moment, in [0, 1)
  double beta2 = 0.95;        ///< decay of the second moment, in [0, 1)
  double epsilon = 1e-8;      ///< added to the root of the second moment
  double weight_decay = 0.1;  ///< decoupled; norms and biases are exempt by their role
  double clip = 1.0;          ///< largest global norm of the gradient; 0 switches clipping off
  fixed<dtype> moment = dtype::fp32;  ///< format of the moments: fp32, or bf16 for half their bytes
};

/// Stochastic gradient descent with momentum; weight decay is decoupled as in adamw.
struct sgd {
  using axis = tenon::axis::optimizer;
  static constexpr std::string_view kind = "sgd";
  static constexpr std::string_view read_by = "optim::engine";
  static constexpr int moments = 1;  ///< tensors of state per parameter

  double momentum = 0.9;         ///< in [0, 1)
  fixed<bool> nesterov = false;  ///< look ahead by one momentum step
  double weight_decay = 0.0;     ///< decoupled; norms and biases are exempt by their role
  double clip = 1.0;             ///< largest global norm of the gradient; 0 switches clipping off
  fixed<dtype> moment = dtype::fp32;  ///< format of the momentum: fp32, or bf16 for half its bytes
};

}  // namespace tenon::optimizer
