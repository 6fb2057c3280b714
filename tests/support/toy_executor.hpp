#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "support/toy_family_operations.hpp"
#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

/// Everything a layer may ask of an executor, as plain loops on one thread, fp32 with fp64 sums, no library. What the
/// executors do fast is defined here; the tests of the layer contract run the library's layers on it, too.
class toy_executor : public toy_family_operations {
 public:
  using compute = float;
  int member() const { return 0; }
  int members() const { return 1; }
  void barrier() const {}
  template <class F>
  void rows(std::int64_t n, F&& f) const {
    if (n > 0) f(std::int64_t{0}, n);
  }
  template <class F>
  void serial(F&& f) const {
    f();
  }

  template <int N, int K, tenon::nn::role R, tenon::nn::initializer I, int D>
  void linear(std::int64_t n, tenon::nn::rows<float, K> in, tenon::nn::weight<float, N, K, R, I, D> const& w,
              tenon::nn::rows<float, N> out) const {
    multiply<N, K>(n, in, w.data, out, false);
  }
  template <int N, int K, tenon::nn::role R, tenon::nn::initializer I, int D>
  void linear_add(std::int64_t n, tenon::nn::rows<float, K> in, tenon::nn::weight<float, N, K, R, I, D> const& w,
                  tenon::nn::rows<float, N> out) const {
    multiply<N, K>(n, in, w.data, out, true);
  }
  template <int N, int K, tenon::nn::role R, tenon::nn::initializer I, int D>
  void linear_backward_input(std::int64_t n, tenon::nn::rows<float, N> d_out,
                             tenon::nn::weight<float, N, K, R, I, D> const& w, tenon::nn::rows<float, K> d_in,
                             float beta) const {
    for (std::int64_t i = 0; i < n; ++i)
      for (int k = 0; k < K; ++k) {
        double sum = beta == 0.f ? 0. : double(beta) * d_in.row(i)[k];
        for (int o = 0; o < N; ++o) sum += double(d_out.row(i)[o]) * w.data[o * K + k];
        d_in.row(i)[k] = float(sum);
      }
  }
  template <int N, int K, tenon::nn::role R, tenon::nn::initializer I, int D>
  void linear_backward_weight(std::int64_t n, tenon::nn::rows<float, N> d_out, tenon::nn::rows<float, K> in,
                              tenon::nn::gradient<N, K, R, I, D> const& g) const {
    for (int o = 0; o < N; ++o)
      for (int k = 0; k < K; ++k) {
        double sum = g.beta == 0.f ? 0. : double(g.beta) * g.data[o * K + k];
        for (std::int64_t i = 0; i < n; ++i) sum += double(d_out.row(i)[o]) * in.row(i)[k];
        g.data[o * K + k] = float(sum);
      }
  }

  template <int N>
  void copy(std::int64_t n, tenon::nn::rows<float, N> in, tenon::nn::rows<float, N> out) const {
    std::copy(in.row(0), in.row(n), out.row(0));
  }
  template <int N>
  void convert(std::int64_t n, tenon::nn::rows<float, N> in, tenon::nn::rows<float, N> out) const {
    copy(n, in, out);
  }
  template <int N>
  void zero(std::int64_t n, tenon::nn::rows<float, N> out) const {
    std::fill(out.row(0), out.row(n), 0.f);
  }

  template <int N, tenon::nn::role R, tenon::nn::initializer I, int D>
  void rmsnorm(std::int64_t n, tenon::nn::rows<float, N> in, tenon::nn::weight<float, 1, N, R, I, D> const& w,
               tenon::nn::rows<float, N> out, tenon::nn::rows<float, 1> inverse_rms, float epsilon) const {
    for (std::int64_t i = 0; i < n; ++i) {
      double squares = 0;
      for (int j = 0; j < N; ++j) squares += double(in.row(i)[j]) * in.row(i)[j];
      double const inverse = 1 / std::sqrt(squares / N + double(epsilon));
      *inverse_rms.row(i) = float(inverse);
      for (int j = 0; j < N; ++j) out.row(i)[j] = float(in.row(i)[j] * inverse * w.data[j]);
    }
  }
  template <int N, tenon::nn::role R, tenon::nn::initializer I, int D>
  void rmsnorm_backward(std::int64_t n, tenon::nn::rows<float, N> in, tenon::nn::weight<float, 1, N, R, I, D> const& w,
                        tenon::nn::rows<float, 1> inverse_rms, tenon::nn::rows<float, N> d_out,
                        tenon::nn::rows<float, N> d_stream, tenon::nn::per_tile<float, N> d_weight) const {
    std::fill(d_weight.row(0), d_weight.row(1), 0.f);
    for (std::int64_t i = 0; i < n; ++i) {
      double const inverse = *inverse_rms.row(i);
      double projection = 0;
      for (int j = 0; j < N; ++j) projection += double(d_out.row(i)[j]) * w.data[j] * in.row(i)[j] * inverse / N;
      for (int j = 0; j < N; ++j) {
        double const normal = in.row(i)[j] * inverse;
        d_stream.row(i)[j] += float(inverse * (double(d_out.row(i)[j]) * w.data[j] - normal * projection));
        d_weight.row(0)[j] += float(d_out.row(i)[j] * normal);
      }
    }
  }
  template <int N, tenon::nn::role R, tenon::nn::initializer I, int D>
  void add_tiles(std::int64_t, tenon::nn::gradient<1, N, R, I, D> const& g, tenon::nn::per_tile<float, N> partial) const {
    for (int j = 0; j < N; ++j) g.data[j] = (g.beta == 0.f ? 0.f : g.beta * g.data[j]) + partial.row(0)[j];
  }

  template <int N>
  void swiglu(std::int64_t n, tenon::nn::rows<float, N> gate, tenon::nn::rows<float, N> up,
              tenon::nn::rows<float, N> out) const {
    for (std::int64_t i = 0; i < n * N; ++i)
      out.data[i] = float(gate.data[i] / (1 + std::exp(-double(gate.data[i]))) * up.data[i]);
  }
  template <int N>
  void swiglu_backward(std::int64_t n, tenon::nn::rows<float, N> d_out, tenon::nn::rows<float, N> gate,
                       tenon::nn::rows<float, N> up) const {
    for (std::int64_t i = 0; i < n * N; ++i) {
      double const z = gate.data[i], s = 1 / (1 + std::exp(-z)), d = d_out.data[i];
      gate.data[i] = float(d * up.data[i] * s * (1 + z * (1 - s)));
      up.data[i] = float(d * z * s);
    }
  }
  template <int HeadDim, int N>
  void rotary(tenon::nn::micro_batch const& b, tenon::nn::rows<float, N> x, int sign) const {
    constexpr int half = HeadDim / 2;
    for (std::int64_t i = 0; i < b.num_rows(); ++i)
      for (int h = 0; h < N / HeadDim; ++h)
        for (int j = 0; j < half; ++j) {
          float *const a = x.row(i) + h * HeadDim + j, *const c = a + half;
          float const co = b.rotary_cos[b.positions[i] * half + j],
                      si = float(sign) * b.rotary_sin[b.positions[i] * half + j];
          float const p = *a, q = *c;
          *a = p * co - q * si, *c = q * co + p * si;
        }
  }

  template <int Heads, int KvHeads, int N, int Kv>
  void attention(tenon::nn::micro_batch const& b, tenon::nn::rows<float, N> q, tenon::nn::rows<float, Kv> k,
                 tenon::nn::rows<float, Kv> v, tenon::nn::rows<float, N> out,
                 tenon::nn::rows<float, Heads> log_sum_exp) const {
    constexpr int dim = N / Heads, group = Heads / KvHeads;
    each_score_row<Heads>(b, [&](std::int64_t row, std::int64_t base, std::int64_t first, std::int64_t last, int h) {
      auto const p = scores<dim>(q.row(row) + h * dim, k.row(base) + h / group * dim, Kv, first, last);
      double top = -std::numeric_limits<double>::infinity(), sum = 0;
      for (double s : p) top = std::max(top, s);
      for (double s : p) sum += std::exp(s - top);
      log_sum_exp.row(row)[h] = float(top + std::log(sum));
      for (int d = 0; d < dim; ++d) {
        double mixed = 0;
        for (auto j = first; j < last; ++j)
          mixed += std::exp(p[std::size_t(j - first)] - top) / sum * v.row(base + j)[h / group * dim + d];
        out.row(row)[h * dim + d] = float(mixed);
      }
    });
  }
  template <int Heads, int KvHeads, int N, int Kv>
  void attention_backward(tenon::nn::micro_batch const& b, tenon::nn::rows<float, N> q, tenon::nn::rows<float, Kv> k,
                          tenon::nn::rows<float, Kv> v, tenon::nn::rows<float, N> out,
                          tenon::nn::rows<float, Heads> log_sum_exp, tenon::nn::rows<float, N> d_out) const {
    constexpr int dim = N / Heads, group = Heads / KvHeads;
    std::vector<double> d_q(std::size_t(b.num_rows() * N)), d_k(std::size_t(b.num_rows() * Kv)), d_v(d_k.size());
    double const scale = 1 / std::sqrt(double(dim));
    each_score_row<Heads>(b, [&](std::int64_t row, std::int64_t base, std::int64_t first, std::int64_t last, int h) {
      auto const p = scores<dim>(q.row(row) + h * dim, k.row(base) + h / group * dim, Kv, first, last);
      float const *const go = d_out.row(row) + h * dim, *const o = out.row(row) + h * dim;
      double projection = 0;
      for (int d = 0; d < dim; ++d) projection += double(go[d]) * o[d];
      for (auto j = first; j < last; ++j) {
        double const probability = std::exp(p[std::size_t(j - first)] - double(log_sum_exp.row(row)[h]));
        std::int64_t const kv = (base + j) * Kv + h / group * dim;
        double d_p = 0;
        for (int d = 0; d < dim; ++d) d_p += double(go[d]) * v.data[kv + d];
        double const d_s = probability * (d_p - projection) * scale;
        for (int d = 0; d < dim; ++d) {
          d_q[std::size_t(row * N + h * dim + d)] += d_s * k.data[kv + d];
          d_k[std::size_t(kv + d)] += d_s * q.row(row)[h * dim + d];
          d_v[std::size_t(kv + d)] += probability * go[d];
        }
      }
    });
    for (std::size_t i = 0; i < d_q.size(); ++i) q.data[i] = float(d_q[i]);
    for (std::size_t i = 0; i < d_k.size(); ++i) k.data[i] = float(d_k[i]), v.data[i] = float(d_v[i]);
  }

  template <int V, int N, tenon::nn::role R, tenon::nn::initializer I, int D>
  void embedding(tenon::nn::micro_batch const& b, tenon::nn::weight<float, V, N, R, I, D> const& w,
                 tenon::nn::rows<float, N> out) const {
    for (std::int64_t i = 0; i < b.num_rows(); ++i) std::copy_n(w.data + b.tokens[i] * N, N, out.row(i));
  }
  template <int V, int N, tenon::nn::role R, tenon::nn::initializer I, int D>
  void embedding_backward(tenon::nn::micro_batch const& b, tenon::nn::rows<float, N> d,
                          tenon::nn::gradient<V, N, R, I, D> const& g) const {
    if (g.beta == 0.f) std::fill(g.data, g.data + V * N, 0.f);
    for (std::int64_t i = 0; i < b.num_rows(); ++i)
      for (int j = 0; j < N; ++j) g.data[b.tokens[i] * N + j] += d.row(i)[j];
  }
  template <int V>
  void cross_entropy(std::int64_t n, tenon::nn::rows<float, V> logits, std::int32_t const* targets,
                     tenon::nn::per_tile<double, 1> loss) const {
    for (std::int64_t i = 0; i < n; ++i)
      if (targets[i] >= 0) *loss.row(0) += log_sum(logits.row(i), V) - logits.row(i)[targets[i]];
  }
  template <int V>
  void cross_entropy_gradient(std::int64_t n, tenon::nn::rows<float, V> logits, std::int32_t const* targets, float seed,
                              tenon::nn::rows<float, V> d_logits, tenon::nn::per_tile<double, 1> loss) const {
    for (std::int64_t i = 0; i < n; ++i) {
      double const total = log_sum(logits.row(i), V);
      if (targets[i] >= 0) *loss.row(0) += total - logits.row(i)[targets[i]];
      for (int j = 0; j < V; ++j)
        d_logits.row(i)[j] =
            targets[i] < 0 ? 0.f : float(seed * (std::exp(logits.row(i)[j] - total) - (j == targets[i])));
    }
  }

 private:
  template <int N, int K>
  static void multiply(std::int64_t n, tenon::nn::rows<float, K> in, float const* w, tenon::nn::rows<float, N> out,
                       bool add) {
    for (std::int64_t i = 0; i < n; ++i)
      for (int o = 0; o < N; ++o) {
        double sum = add ? out.row(i)[o] : 0;
        for (int k = 0; k < K; ++k) sum += double(in.row(i)[k]) * w[o * K + k];
        out.row(i)[o] = float(sum);
      }
  }
  /// f(row, first row of its sample, first key, last key + 1, head); keys count from the sample's first row.
  template <int Heads, class F>
  static void each_score_row(tenon::nn::micro_batch const& b, F&& f) {
    for (std::int64_t s = 0; s < b.samples; ++s)
      for (std::int64_t r = 0; r < b.sequence; ++r)
        for (int h = 0; h < Heads; ++h)
          f(s * b.sequence + r, s * b.sequence, std::int64_t{b.document_start[s * b.sequence + r]}, b.past + r + 1, h);
  }
  template <int Dim>
  static std::vector<double> scores(float const* q, float const* k, std::int64_t stride, std::int64_t first,
                                    std::int64_t last) {
    std::vector<double> s(std::size_t(last - first));
    for (auto j = first; j < last; ++j) {
      for (int d = 0; d < Dim; ++d) s[std::size_t(j - first)] += double(q[d]) * k[j * stride + d];
      s[std::size_t(j - first)] /= std::sqrt(double(Dim));
    }
    return s;
  }
  static double log_sum(float const* x, int n) {
    double const top = *std::max_element(x, x + n);
    double sum = 0;
    for (int j = 0; j < n; ++j) sum += std::exp(x[j] - top);
    return top + std::log(sum);
  }
};
