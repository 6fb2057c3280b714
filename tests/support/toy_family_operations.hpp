#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

/// Latent attention and routed experts in plain loops: what the executors' operations mean.
class toy_family_operations {
  template <int N>
  using rows = tenon::nn::rows<float, N>;
  template <int N>
  using ids = tenon::nn::rows<std::int32_t, N>;

 public:
  void next_row(tenon::nn::micro_batch const& b, ids<1> tokens, ids<1> targets) const {
    for (std::int64_t i = 0; i < b.num_rows(); ++i) {
      bool const last = i % b.sequence == b.sequence - 1 || b.document_start[i] != b.document_start[i + 1];
      tokens.data[i] = last ? b.tokens[i] : b.tokens[i + 1];
      targets.data[i] = last ? -1 : b.targets[i + 1];
    }
  }
  template <int N>
  void widen(std::int64_t n, rows<N> in, rows<N> out) const {
    std::copy(in.row(0), in.row(n), out.row(0));
  }
  template <int Half, int N>
  void place(std::int64_t n, rows<N> in, rows<2 * N> out) const {
    for (std::int64_t i = 0; i < n * N; ++i) out.row(i / N)[Half * N + i % N] = in.data[i];
  }
  template <int Half, int N>
  void take(std::int64_t n, rows<2 * N> in, rows<N> out) const {
    for (std::int64_t i = 0; i < n * N; ++i) out.data[i] = in.row(i / N)[Half * N + i % N];
  }
  template <int Rank, int Turned>
  void keep_latents(tenon::nn::micro_batch const&, rows<Rank>, rows<Turned>) const {}
  template <int Width, int Turned, int N>
  void rotary_pairs(tenon::nn::micro_batch const& b, rows<N> x, int sign) const {
    for (std::int64_t i = 0; i < b.num_rows(); ++i)
      for (int h = 0; h < N / Width; ++h)
        for (int j = 0; j < Turned / 2; ++j) {
          float* const a = x.row(i) + h * Width + Width - Turned + 2 * j;
          double const co = b.rotary_cos[b.positions[i] * Turned / 2 + j],
                       si = sign * double(b.rotary_sin[b.positions[i] * Turned / 2 + j]);
          double const p = a[0], q = a[1];
          a[0] = float(p * co - q * si), a[1] = float(q * co + p * si);
        }
  }
  template <int Heads, int Nope, int Turned, int Value>
  void latent_keys(std::int64_t n, rows<Heads*(Nope + Value)> kv, rows<Turned> shared,
                   rows<Heads*(Nope + Turned)> k) const {
    for (std::int64_t i = 0; i < n; ++i)
      for (int h = 0; h < Heads; ++h)
        for (int j = 0; j < Nope + Turned; ++j)
          k.row(i)[h * (Nope + Turned) + j] = j < Nope ? kv.row(i)[h * (Nope + Value) + j] : shared.row(i)[j - Nope];
  }
  template <int Heads, int Nope, int Turned, int Value>
  void latent_keys_backward(std::int64_t n, rows<Heads*(Nope + Turned)> d_k, rows<Heads*(Nope + Value)> d_kv,
                            rows<Turned> d_shared) const {
    for (std::int64_t i = 0; i < n; ++i)
      for (int j = 0; j < Nope + Turned; ++j) {
        double sum = 0;
        for (int h = 0; h < Heads; ++h) {
          float const d = d_k.row(i)[h * (Nope + Turned) + j];
          if (j < Nope) d_kv.row(i)[h * (Nope + Value) + j] = d;
          sum += d;
        }
        if (j >= Nope) d_shared.row(i)[j - Nope] = float(sum);
      }
  }
  template <int Heads, int Nope, int Turned, int Value>
  void latent_attention(tenon::nn::micro_batch const& b, rows<Heads*(Nope + Turned)> q, rows<Heads*(Nope + Turned)> k,
                        rows<Heads*(Nope + Value)> kv, rows<Heads * Value> out, rows<Heads> log_sum_exp,
                        float score_factor) const {
    constexpr int dim = Nope + Turned;
    each_score_row<Heads>(b, [&](std::int64_t i, std::int64_t base, std::int64_t first, std::int64_t last, int h) {
      auto const s = scores<dim>(q.row(i) + h * dim, k.row(base) + h * dim, Heads * dim, first, last, score_factor);
      double const top = *std::max_element(s.begin(), s.end());
      double sum = 0;
      for (double one : s) sum += std::exp(one - top);
      log_sum_exp.row(i)[h] = float(top + std::log(sum));
      for (int d = 0; d < Value; ++d) {
        double mixed = 0;
        for (auto j = first; j < last; ++j)
          mixed += std::exp(s[std::size_t(j - first)] - top) / sum * kv.row(base + j)[h * (Nope + Value) + Nope + d];
        out.row(i)[h * Value + d] = float(mixed);
      }
    });
  }
  template <int Heads, int Nope, int Turned, int Value>
  void latent_attention_backward(tenon::nn::micro_batch const& b, rows<Heads*(Nope + Turned)> q,
                                 rows<Heads*(Nope + Turned)> k, rows<Heads*(Nope + Value)> kv, rows<Heads * Value> out,
                                 rows<Heads> log_sum_exp, rows<Heads * Value> d_out, float score_factor) const {
    constexpr int dim = Nope + Turned, both = Nope + Value;
    auto const size = std::size_t(b.num_rows() * Heads);
    std::vector<double> d_q(size * dim), d_k(size * dim), d_v(size * Value);
    double const scale = score_factor / std::sqrt(double(dim));
    each_score_row<Heads>(b, [&](std::int64_t i, std::int64_t base, std::int64_t first, std::int64_t last, int h) {
      auto const s = scores<dim>(q.row(i) + h * dim, k.row(base) + h * dim, Heads * dim, first, last, score_factor);
      float const *const go = d_out.row(i) + h * Value, *const o = out.row(i) + h * Value;
      double projection = 0;
      for (int d = 0; d < Value; ++d) projection += double(go[d]) * o[d];
      for (auto j = first; j < last; ++j) {
        double const p = std::exp(s[std::size_t(j - first)] - double(log_sum_exp.row(i)[h]));
        auto const mine = std::size_t(i * Heads + h), theirs = std::size_t((base + j) * Heads + h);
        double d_p = 0;
        for (int d = 0; d < Value; ++d) {
          d_p += double(go[d]) * kv.row(base + j)[h * both + Nope + d];
          d_v[theirs * Value + std::size_t(d)] += p * go[d];
        }
        for (int d = 0; d < dim; ++d) {
          d_q[mine * dim + std::size_t(d)] += p * (d_p - projection) * scale * k.row(base + j)[h * dim + d];
          d_k[theirs * dim + std::size_t(d)] += p * (d_p - projection) * scale * q.row(i)[h * dim + d];
        }
      }
    });
    for (std::size_t i = 0; i < size * dim; ++i) q.data[i] = float(d_q[i]), k.data[i] = float(d_k[i]);
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t d = 0; d < Value; ++d) kv.data[i * both + Nope + d] = float(d_v[i * Value + d]);
  }
  /// Expands each cached latent and attends as in training.
  template <int Heads, int Nope, int Turned, int Value, int Rank, tenon::nn::role R, tenon::nn::initializer I, int D>
  void latent_decode(tenon::nn::micro_batch const& b, rows<Heads*(Nope + Turned)> q,
                     tenon::nn::weight<float, Heads*(Nope + Value), Rank, R, I, D> const& up, rows<Rank> latent,
                     rows<Turned> shared, rows<Heads * Value> out, float score_factor) const {
    constexpr int dim = Nope + Turned, both = Nope + Value;
    auto const keys = b.past + b.sequence;
    std::vector<float> kv(std::size_t(keys * Heads * both)), k(std::size_t(keys * Heads * dim)), sums(std::size_t(b.sequence * Heads));
    for (std::int64_t j = 0; j < keys; ++j)
      for (int o = 0; o < Heads * both; ++o) {
        double sum = 0;
        for (int r = 0; r < Rank; ++r) sum += double(latent.row(j)[r]) * up.data[o * Rank + r];
        kv[std::size_t(j * Heads * both + o)] = float(sum);
      }
    latent_keys<Heads, Nope, Turned, Value>(keys, {kv.data()}, shared, {k.data()});
    latent_attention<Heads, Nope, Turned, Value>(b, q, {k.data()}, {kv.data()}, out, {sums.data()}, score_factor);
  }

  template <class R>
  void route(std::int64_t n, rows<R::experts> scores, float const* bias, ids<R::chosen> chosen,
             rows<R::chosen> weight, bool decide) const {
    for (std::int64_t i = 0; i < n; ++i) {
      R::score(scores.row(i));
      if (decide) R::choose(scores.row(i), bias, chosen.row(i));
      R::weigh(scores.row(i), chosen.row(i), weight.row(i));
    }
  }
  template <class R>
  void balance(tenon::nn::micro_batch const& b, rows<R::experts> scores, ids<R::chosen> chosen,
               rows<R::experts> coefficient) const {
    for (std::int64_t s = 0; s < b.samples; ++s)
      b.balance_loss[s] += R::balance(scores.row(s * b.sequence), chosen.row(s * b.sequence), b.sequence,
                                      b.balance.expert, b.balance.device, b.balance.exchange, coefficient.row(s));
  }
  template <class R>
  void route_backward(tenon::nn::micro_batch const& b, rows<R::experts> scores, ids<R::chosen> chosen,
                      rows<R::chosen> d_weight, rows<R::experts> coefficient, rows<R::experts> d_logits) const {
    for (std::int64_t i = 0; i < b.num_rows(); ++i) {
      std::vector<float> share(R::experts);
      for (int e = 0; e < R::experts; ++e)
        share[std::size_t(e)] =
            b.balance_seed == 0 ? 0 : coefficient.row(i / b.sequence)[e] * b.balance_seed / float(b.sequence);
      R::backward(scores.row(i), chosen.row(i), d_weight.row(i), share.data(), d_logits.row(i));
    }
  }
  template <class R>
  void sort_by_expert(std::int64_t n, ids<R::chosen> chosen, ids<R::chosen> slot, ids<R::chosen> source,
                      tenon::nn::block<std::int32_t, 1, R::experts + 1> first) const {
    std::int32_t at = 0;
    for (int e = 0; e < R::experts; ++e) {
      first.data[e] = at;
      for (std::int32_t i = 0; i < std::int32_t(n * R::chosen); ++i)
        if (chosen.data[i] == e) source.data[at] = i, slot.data[i] = at++;
    }
    first.data[R::experts] = at;
  }
  template <int Chosen, int N>
  void spread(std::int64_t n, rows<N> in, ids<Chosen> slot, rows<N> sorted) const {
    for (std::int64_t i = 0; i < n * Chosen; ++i) std::copy_n(in.row(i / Chosen), N, sorted.row(slot.data[i]));
  }
  template <int N, class Sink>
  void count_rows(tenon::nn::block<std::int32_t, 1, N> first, Sink const& sink) const {
    for (int e = 0; e + 1 < N; ++e)
      sink.data[e] = (sink.beta == 0.f ? 0.f : sink.data[e]) + float(first.data[e + 1] - first.data[e]);
  }
  template <int N, int K, int E, class W>
  void expert_linear(std::int64_t, tenon::nn::block<std::int32_t, 1, E> first, rows<K> in,
                     tenon::nn::stack<W> const& w, rows<N> out) const {
    each_row(first, [&](std::int64_t i, float const* m) {
      for (int o = 0; o < N; ++o) out.row(i)[o] = float(dot(in.row(i), m + o * K, K, 1));
    }, w);
  }
  template <int Chosen, int N, int K, int E, class W>
  void expert_linear_add(std::int64_t, tenon::nn::block<std::int32_t, 1, E> first, ids<Chosen> source, rows<K> in,
                         tenon::nn::stack<W> const& w, rows<N> to) const {
    each_row(first, [&](std::int64_t i, float const* m) {
      for (int o = 0; o < N; ++o) to.row(source.data[i] / Chosen)[o] += float(dot(in.row(i), m + o * K, K, 1));
    }, w);
  }
  template <int N, int K, int E, class W>
  void expert_linear_backward_input(std::int64_t, tenon::nn::block<std::int32_t, 1, E> first, rows<N> d_out,
                                    tenon::nn::stack<W> const& w, rows<K> d_in) const {
    each_row(first, [&](std::int64_t i, float const* m) {
      for (int k = 0; k < K; ++k) d_in.row(i)[k] = float(dot(d_out.row(i), m + k, N, K));
    }, w);
  }
  template <int Chosen, int N, int K, int E, class W>
  void expert_linear_backward_input_add(std::int64_t, tenon::nn::block<std::int32_t, 1, E> first, ids<Chosen> source,
                                        rows<N> d_out, tenon::nn::stack<W> const& w, rows<K> d_in) const {
    each_row(first, [&](std::int64_t i, float const* m) {
      for (int k = 0; k < K; ++k) d_in.row(source.data[i] / Chosen)[k] += float(dot(d_out.row(i), m + k, N, K));
    }, w);
  }
  template <int N, int K, int E, class G>
  void expert_linear_backward_weight(std::int64_t, tenon::nn::block<std::int32_t, 1, E> first, rows<N> d_out,
                                     rows<K> in, tenon::nn::stack<G> const& sinks) const {
    for (int e = 0; e + 1 < E; ++e)
      for (int o = 0; o < N; ++o)
        for (int k = 0; k < K; ++k) {
          auto const sink = sinks[e];
          double sum = sink.beta == 0.f ? 0. : sink.data[o * K + k];
          for (auto i = first.data[e]; i < first.data[e + 1]; ++i) sum += double(d_out.row(i)[o]) * in.row(i)[k];
          sink.data[o * K + k] = float(sum);
        }
  }
  template <int Chosen, int N>
  void expert_swiglu(std::int64_t sorted, rows<N> gate, rows<N> up, ids<Chosen> source, rows<Chosen> weight,
                     rows<N> out) const {
    for (std::int64_t i = 0; i < sorted * N; ++i)
      out.data[i] = float(gate.data[i] / (1 + std::exp(-double(gate.data[i]))) * up.data[i] *
                          weight.data[source.data[i / N]]);
  }
  template <int Chosen, int N>
  void expert_swiglu_backward(std::int64_t sorted, rows<N> d_out, rows<N> gate, rows<N> up, ids<Chosen> source,
                              rows<Chosen> weight, rows<Chosen> d_weight) const {
    for (std::int64_t i = 0; i < sorted; ++i) {
      double sum = 0;
      double const w = weight.data[source.data[i]];
      for (int j = 0; j < N; ++j) {
        double const z = gate.row(i)[j], u = up.row(i)[j], s = 1 / (1 + std::exp(-z)), d = d_out.row(i)[j];
        sum += d * z * s * u;
        gate.row(i)[j] = float(w * d * u * s * (1 + z * (1 - s)));
        up.row(i)[j] = float(w * d * z * s);
      }
      d_weight.data[source.data[i]] = float(sum);
    }
  }

 private:
  static double dot(float const* a, float const* b, int n, int stride) {
    double sum = 0;
    for (int i = 0; i < n; ++i) sum += double(a[i]) * b[i * stride];
    return sum;
  }
  /// f(sorted row, its expert's matrix).
  template <int E, class F, class W>
  static void each_row(tenon::nn::block<std::int32_t, 1, E> first, F&& f, tenon::nn::stack<W> const& w) {
    for (int e = 0; e + 1 < E; ++e)
      for (auto i = first.data[e]; i < first.data[e + 1]; ++i) f(i, w[e].data);
  }
  template <int Heads, class F>
  static void each_score_row(tenon::nn::micro_batch const& b, F&& f) {
    for (std::int64_t s = 0; s < b.samples; ++s)
      for (std::int64_t r = 0; r < b.sequence; ++r)
        for (int h = 0; h < Heads; ++h)
          f(s * b.sequence + r, s * b.sequence, std::int64_t{b.document_start[s * b.sequence + r]}, b.past + r + 1, h);
  }
  template <int Dim>
  static std::vector<double> scores(float const* q, float const* k, std::int64_t stride, std::int64_t first,
                                    std::int64_t last, double factor) {
    std::vector<double> s;
    for (auto j = first; j < last; ++j) s.push_back(dot(q, k + j * stride, Dim, 1) * factor / std::sqrt(double(Dim)));
    return s;
  }
};
