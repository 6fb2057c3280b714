#pragma once
#include <cmath>

#include "tenon/recipe/rope.hpp"

namespace tenon::nn {

/// The angles of rotary positions: pair j of a head of width `dim` turns by position * frequency(j, dim). Numbers of
/// the run's tables only; they select no code. Formulas as in Hugging Face's `rope_parameters`.
struct rotation {
  double theta = 10000;  ///< base of the frequencies
  model::rope_scaling scaling{};

  rotation() = default;
  rotation(double base) : theta(base) {}  // implicit: most models have no scaling
  rotation(double base, model::rope_scaling const& s) : theta(base), scaling(s) {}

  /// Radians per position of pair `j`.
  double frequency(int j, int dim) const {
    double const plain = std::pow(theta, -double(2 * j) / dim), stretched = plain / scaling.factor;
    switch (scaling.type) {
      case model::rope_type::none:
        return plain;
      case model::rope_type::linear:
        return stretched;
      case model::rope_type::llama3: {
        double const turns = scaling.original * plain / two_pi;  // within the original length
        double const low = scaling.low_freq_factor, high = scaling.high_freq_factor;
        if (turns > high) return plain;
        if (turns < low) return stretched;
        double const smooth = (turns - low) / (high - low);
        return (1 - smooth) * stretched + smooth * plain;
      }
      case model::rope_type::yarn: {
        double low = pair_of(scaling.beta_fast, dim), high = pair_of(scaling.beta_slow, dim);
        if (scaling.truncate) low = std::floor(low), high = std::ceil(high);
        low = low < 0 ? 0 : low, high = high > dim - 1 ? dim - 1 : high;
        if (low == high) high += 0.001;
        double const at = (j - low) / (high - low), ramp = at < 0 ? 0 : at > 1 ? 1 : at;
        return stretched * ramp + plain * (1 - ramp);
      }
    }
    return plain;
  }

 private:
  static constexpr double two_pi = 6.283185307179586476925;
  /// The pair that makes `turns` turns within the original length, as a real number.
  double pair_of(double turns, int dim) const {
    return dim * std::log(scaling.original / (turns * two_pi)) / (2 * std::log(theta));
  }
};

}  // namespace tenon::nn
