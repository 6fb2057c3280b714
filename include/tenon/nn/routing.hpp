#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tenon/nn/context.hpp"

namespace tenon::nn {

/// How a router turns logits into scores. `softmax`: DeepSeek-V2 (arXiv 2405.04434, section 2.2): probabilities over all
/// experts; a group counts as its best expert. `sigmoid`: DeepSeek-V3 (arXiv 2412.19437, section 2.1.2): each expert by
/// itself; a bias moves the choice but not the weight; a group counts as the sum of its two best.
enum class gate : std::uint8_t { softmax, sigmoid };

/// One row's way through a router: `Chosen` of `Experts` experts out of the best `ChosenGroups` of `Groups` groups.
/// `Normalised`: the chosen weights add up to one before ScaleBits (routed_scaling_factor) multiplies them. Experts of
/// other groups are out of the question (-inf), also where every biased score is negative.
template <int Experts, int Chosen, int Groups, int ChosenGroups, gate Gate, bool Normalised, std::uint32_t ScaleBits>
struct routing {
  static constexpr int experts = Experts, chosen = Chosen, group_size = Experts / Groups;
  static constexpr bool biased = Gate == gate::sigmoid;
  static constexpr float scale = number(ScaleBits);
  static_assert(Experts % Groups == 0 && ChosenGroups <= Groups && Chosen <= ChosenGroups * group_size && Chosen > 0 &&
                    (Gate == gate::softmax || Groups == 1 || group_size >= 2),
                "[tenon.routing] the groups of a router do not work out: groups must divide the experts, the chosen groups hold "
                "the chosen experts, and a sigmoid gate adds the two best of a group, which then has two or more. Write 1 "
                "and 1 for the groups to choose among all experts");

  /// Logits become scores, in place.
  static void score(float* row) {
    if constexpr (Gate == gate::sigmoid) {
      for (int e = 0; e < Experts; ++e) row[e] = 1.f / (1.f + std::exp(-row[e]));
    } else {
      float top = row[0], total = 0;
      for (int e = 1; e < Experts; ++e) top = row[e] > top ? row[e] : top;
      for (int e = 0; e < Experts; ++e) total += row[e] = std::exp(row[e] - top);
      for (int e = 0; e < Experts; ++e) row[e] /= total;
    }
  }
  /// The `n` largest of values[0, size) that are above -inf, largest first; of equals the first.
  static void largest(float const* values, int size, int n, std::int32_t* out) {
    for (int c = 0; c < n; ++c) {
      out[c] = -1;
      for (int i = 0; i < size; ++i) {
        bool taken = values[i] == -std::numeric_limits<float>::infinity();
        for (int before = 0; before < c; ++before) taken = taken || out[before] == i;
        if (!taken && (out[c] < 0 || values[i] > values[out[c]])) out[c] = i;
      }
    }
  }
  /// `bias`: of the experts, or null.
  static void choose(float const* scores, float const* bias, std::int32_t* out) {
    std::array<float, Experts> wanted;
    for (int e = 0; e < Experts; ++e) wanted[e] = scores[e] + (bias == nullptr ? 0.f : bias[e]);
    if constexpr (ChosenGroups < Groups) {
      std::array<float, Groups> group;
      std::array<std::int32_t, Groups> best;
      for (int g = 0; g < Groups; ++g) {
        std::int32_t two[2];
        float const* const of = wanted.data() + g * group_size;
        largest(of, group_size, biased ? 2 : 1, two);
        group[g] = of[two[0]] + (biased ? of[two[1]] : 0.f);
      }
      largest(group.data(), Groups, ChosenGroups, best.data());
      for (int g = 0; g < Groups; ++g) {
        bool in = false;
        for (int c = 0; c < ChosenGroups; ++c) in = in || best[c] == g;
        if (!in)
          for (int e = 0; e < group_size; ++e) wanted[g * group_size + e] = -std::numeric_limits<float>::infinity();
      }
    }
    largest(wanted.data(), Experts, Chosen, out);
  }
  static float sum_of_chosen(float const* scores, std::int32_t const* out) {
    float total = 0;
    for (int c = 0; c < Chosen; ++c) total += scores[out[c]];
    return total + 1e-20f;
  }
  static void weigh(float const* scores, std::int32_t const* out, float* weight) {
    float const factor = Normalised ? scale / sum_of_chosen(scores, out) : scale;
    for (int c = 0; c < Chosen; ++c) weight[c] = scores[out[c]] * factor;
  }

  /// Gradient of the logits. `d_weight`: of the chosen weights. `d_share`: of each expert's share of the row, the score
  /// divided by the sum of all scores (for softmax the score itself); null where nothing balances.
  static void backward(float const* scores, std::int32_t const* out, float const* d_weight, float const* d_share,
                       float* d_logits) {
    std::array<float, Experts> d{};
    if constexpr (Normalised) {
      float const total = sum_of_chosen(scores, out);
      float mean = 0;
      for (int c = 0; c < Chosen; ++c) mean += d_weight[c] * scores[out[c]] / total;
      for (int c = 0; c < Chosen; ++c) d[out[c]] = scale * (d_weight[c] - mean) / total;
    } else {
      for (int c = 0; c < Chosen; ++c) d[out[c]] = scale * d_weight[c];
    }
    if (d_share != nullptr) {
      float total = 1, mean = 0;
      if constexpr (Gate == gate::sigmoid) {
        total = 0;
        for (int e = 0; e < Experts; ++e) total += scores[e];
        for (int e = 0; e < Experts; ++e) mean += d_share[e] * scores[e] / total;
      }
      for (int e = 0; e < Experts; ++e) d[e] += (d_share[e] - mean) / total;
    }
    if constexpr (Gate == gate::sigmoid) {
      for (int e = 0; e < Experts; ++e) d_logits[e] = d[e] * scores[e] * (1 - scores[e]);
    } else {
      float mean = 0;
      for (int e = 0; e < Experts; ++e) mean += d[e] * scores[e];
      for (int e = 0; e < Experts; ++e) d_logits[e] = scores[e] * (d[e] - mean);
    }
  }

  /// Balance of one sequence of `length` rows: loss = sum over experts of coefficient * share, where share is the mean
  /// share of an expert and the coefficients, no functions of the weights, are
  ///   `expert` * f_i              f_i = Experts / (Chosen * length) * (rows that chose i), for each expert
  /// and with the softmax gate, D groups standing for the devices of DeepSeek-V2's section 2.2.3,
  ///   `device` * mean of f over the expert's group
  ///   `exchange` * D / (ChosenGroups * length) * (rows that sent anything to the group).
  /// The sigmoid gate counts the best of the unbiased scores, without groups, as V3's equation 18 says; the softmax gate
  /// counts what was chosen. Writes the coefficients and returns the loss.
  static double balance(float const* scores, std::int32_t const* chosen_rows, std::int64_t length, float expert,
                        float device, float exchange, float* coefficient) {
    std::array<double, Experts> count{}, share{};
    std::array<double, Groups> sent{};
    for (std::int64_t i = 0; i < length; ++i) {
      float const* const row = scores + i * Experts;
      std::array<std::int32_t, Chosen> own;
      std::int32_t const* out = chosen_rows + i * Chosen;
      if constexpr (Gate == gate::sigmoid) largest(row, Experts, Chosen, own.data()), out = own.data();
      std::array<bool, Groups> to{};
      for (int c = 0; c < Chosen; ++c) count[out[c]] += 1, to[out[c] / group_size] = true;
      for (int g = 0; g < Groups; ++g) sent[g] += to[g];
      double total = 1;
      if constexpr (Gate == gate::sigmoid) {
        total = 0;
        for (int e = 0; e < Experts; ++e) total += row[e];
      }
      for (int e = 0; e < Experts; ++e) share[e] += row[e] / total;
    }
    double loss = 0;
    for (int g = 0; g < Groups; ++g) {
      double group = 0;
      for (int e = g * group_size; e < (g + 1) * group_size; ++e) group += count[e];
      double const rows = double(length), per = double(Experts) / (Chosen * rows);
      double const of_group = device * per * group / group_size + exchange * Groups / (ChosenGroups * rows) * sent[g];
      for (int e = g * group_size; e < (g + 1) * group_size; ++e) {
        double const c = expert * per * count[e] + of_group;
        coefficient[e] = float(c);
        loss += c * share[e] / rows;
      }
    }
    return loss;
  }
};

}  // namespace tenon::nn
