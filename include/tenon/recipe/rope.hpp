#pragma once
#include <cstdint>

#include "tenon/core/fixed.hpp"
#include "tenon/recipe/math.hpp"

namespace tenon::model {

/// How rotary frequencies are changed for texts longer than those of the first training: not at all; all divided by a
/// factor (Chen et al. 2023, arXiv 2306.15595); by wavelength as in Llama 3; by parts as in YaRN (Peng et al. 2023,
/// arXiv 2309.00071).
enum class rope_type : std::uint8_t { none, linear, llama3, yarn };

/// Rotary scaling of a model, under the names of Hugging Face's `rope_scaling` (`original` is its
/// `original_max_position_embeddings`).
struct rope_scaling {
  fixed<rope_type> type = rope_type::none;  ///< none, linear, llama3 or yarn
  fixed<double> factor = 1.0;               ///< by how much texts are longer, at least 1
  fixed<int> original = 0;                  ///< positions of the first training; required with llama3 and yarn
  fixed<double> low_freq_factor = 1.0;      ///< llama3: wavelengths above original / this are stretched
  fixed<double> high_freq_factor = 4.0;     ///< llama3: wavelengths below original / this stay
  fixed<double> beta_fast = 32.0;           ///< yarn: pairs with more turns within original stay
  fixed<double> beta_slow = 1.0;            ///< yarn: pairs with fewer turns are stretched
  fixed<double> mscale = 0.0;               ///< yarn: growth of the tables, 0 where not given
  fixed<double> mscale_all_dim = 0.0;       ///< yarn: growth of the scores, 0 where not given
  fixed<double> attention_factor = 0.0;     ///< yarn: factor of the tables; 0 means by the formula
  fixed<bool> truncate = true;              ///< yarn: the ramp begins and ends at whole pairs

  /// YaRN's growth of attention: 0.1 * weight * ln(factor) + 1.
  constexpr double growth(double weight) const { return factor <= 1 ? 1 : 0.1 * weight * math::log(factor) + 1; }
  /// Factor of every cosine and sine.
  constexpr double table_factor() const {
    if (type != rope_type::yarn) return 1;
    if (attention_factor != 0) return attention_factor;
    return mscale != 0 && mscale_all_dim != 0 ? growth(mscale) / growth(mscale_all_dim) : growth(1);
  }
  /// Factor of latent attention's scores, beside 1 / sqrt(width): growth(mscale_all_dim)^2, as in DeepSeek-V2's and
  /// V3's code.
  constexpr double score_factor() const {
    return type == rope_type::none || mscale_all_dim == 0 ? 1 : growth(mscale_all_dim) * growth(mscale_all_dim);
  }
};

}  // namespace tenon::model
