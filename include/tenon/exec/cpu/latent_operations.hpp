#pragma once
#include "tenon/exec/cpu/attention_kernels.hpp"
#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

/// What latent attention and multi-token prediction ask of the executor beside products and norms.
namespace tenon::exec::cpu::inline CPU_CAPABILITY {

/// Turns neighbours (2j, 2j + 1) of `Turned` values in place; `sign` -1 turns back.
template <int Turned, class T>
inline void rotate_pairs(T* x, float const* cosine, float const* sine, float sign) {
  for (int j = 0; j < Turned / 2; ++j) {
    float const a = nn::widen(x[2 * j]), c = nn::widen(x[2 * j + 1]), s = sine[j] * sign;
    x[2 * j] = nn::narrow<T>(a * cosine[j] - c * s);
    x[2 * j + 1] = nn::narrow<T>(c * cosine[j] + a * s);
  }
}

/// One query of one head against the cached latents of keys [from, to), without expanding them. `up` holds the rows of
/// the expanding matrix that belong to this head: Nope for the key, then Value for the value, each `Rank` wide.
/// `room`: 2 * Rank + Turned + to - from floats.
template <int Nope, int Turned, int Value, int Rank, class T>
inline void latent_row(T const* q, T const* up, T const* latent, T const* shared, std::int64_t from, std::int64_t to,
                       float scale, T* out, float* room) {
  float *const absorbed = room, *const turned = absorbed + Rank, *const mixed = turned + Turned,
               *const scores = mixed + Rank;
  std::fill(absorbed, absorbed + Rank, 0.f), std::fill(mixed, mixed + Rank, 0.f);
  auto const add = [](float* to_row, float factor, T const* row) {
    for_registers(Rank, [&](std::int64_t i, std::int64_t c) {
      store(at::vec::fmadd(vec(factor), load(row + i, c), load(to_row + i, c)), to_row + i, c);
    });
  };
  auto const product = [](float const* a, T const* row, std::int64_t n) {
    return reduce_sum(n, [&](std::int64_t i, std::int64_t c) { return load(a + i, c) * load(row + i, c); });
  };
  for (int j = 0; j < Nope; ++j) add(absorbed, nn::widen(q[j]), up + std::int64_t{j} * Rank);
  widen(q + Nope, turned, Turned);
  for (auto key = from; key < to; ++key)
    scores[key - from] =
        scale * (product(absorbed, latent + key * Rank, Rank) + product(turned, shared + key * Turned, Turned));
  auto const n = to - from;
  float const total = exp_sum(scores, n, max_of(scores, n));
  for (std::int64_t key = 0; key < n; ++key) add(mixed, scores[key] / total, latent + (from + key) * Rank);
  for (int j = 0; j < Value; ++j)
    out[j] = nn::narrow<T>(product(mixed, up + std::int64_t{Nope + j} * Rank, Rank));
}

template <class X>
class latent_operations {
 public:
  /// What the row behind each row is given and predicts, where that is in the same document; else the row's own token and
  /// -1. Reads all members' rows.
  void next_row(nn::micro_batch const& b, nn::rows<std::int32_t, 1> tokens, nn::rows<std::int32_t, 1> targets) const {
    self().rows(b.num_rows(), [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) {
        bool const there = (i + 1) % b.sequence != 0 && b.document_start[i + 1] == b.document_start[i];
        tokens.data[i] = b.tokens[there ? i + 1 : i], targets.data[i] = there ? b.targets[i + 1] : -1;
      }
    });
  }
  template <class T, int N>
  void widen(std::int64_t n, nn::rows<T, N> in, nn::rows<float, N> out) const {
    self().rows(n, [&](auto first, auto last) { cpu::widen(in.row(first), out.row(first), (last - first) * N); });
  }
  /// Half `Half` of the columns of `out`, or of `in`.
  template <int Half, class T, int N>
  void place(std::int64_t n, nn::rows<T, N> in, nn::rows<T, 2 * N> out) const {
    self().rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) std::copy_n(in.row(i), N, out.row(i) + Half * N);
    });
  }
  template <int Half, class T, int N>
  void take(std::int64_t n, nn::rows<T, 2 * N> in, nn::rows<T, N> out) const {
    self().rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) std::copy_n(in.row(i) + Half * N, N, out.row(i));
    });
  }
  /// Turns the last `Turned` of each `Width` columns by the row's position.
  template <int Width, int Turned, class T, int N>
  void rotary_pairs(nn::micro_batch const& b, nn::rows<T, N> r, int sign) const {
    self().rows(b.num_rows(), [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) {
        auto const at = std::int64_t{b.positions[i]} * (Turned / 2);
        for (int h = 0; h < N / Width; ++h)
          rotate_pairs<Turned>(r.row(i) + h * Width + Width - Turned, b.rotary_cos + at, b.rotary_sin + at,
                               float(sign));
      }
    });
  }
  /// k = of each head [its part of kv | the key shared by all].
  template <int Heads, int Nope, int Turned, int Value, class T>
  void latent_keys(std::int64_t n, nn::rows<T, Heads*(Nope + Value)> kv, nn::rows<T, Turned> shared,
                   nn::rows<T, Heads*(Nope + Turned)> k) const {
    self().rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i)
        for (int h = 0; h < Heads; ++h) {
          T* const to = k.row(i) + h * (Nope + Turned);
          std::copy_n(kv.row(i) + h * (Nope + Value), Nope, to);
          std::copy_n(shared.row(i), Turned, to + Nope);
        }
    });
  }
  /// Its transpose: the keys' part of d_kv is overwritten, d_shared is the sum over heads.
  template <int Heads, int Nope, int Turned, int Value, class T>
  void latent_keys_backward(std::int64_t n, nn::rows<T, Heads*(Nope + Turned)> d_k,
                            nn::rows<T, Heads*(Nope + Value)> d_kv, nn::rows<T, Turned> d_shared) const {
    self().rows(n, [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) {
        float sum[Turned] = {};
        for (int h = 0; h < Heads; ++h) {
          T const* const from = d_k.row(i) + h * (Nope + Turned);
          std::copy_n(from, Nope, d_kv.row(i) + h * (Nope + Value));
          for (int j = 0; j < Turned; ++j) sum[j] += nn::widen(from[Nope + j]);
        }
        narrow(sum, d_shared.row(i), Turned);
      }
    });
  }

  /// Causal attention of each head over its own keys; values are the last `Value` columns of each head in kv. Reads all
  /// members' rows.
  template <int Heads, int Nope, int Turned, int Value, class T>
  void latent_attention(nn::micro_batch const& b, nn::rows<T, Heads*(Nope + Turned)> q,
                        nn::rows<T, Heads*(Nope + Turned)> k, nn::rows<T, Heads*(Nope + Value)> kv,
                        nn::rows<T, Heads * Value> out, nn::rows<float, Heads> log_sum_exp, float score_factor) const {
    constexpr int dim = Nope + Turned, both = Nope + Value;
    self().tasks(b.samples * Heads, [&](std::int64_t t) {
      auto const row = t / Heads * b.sequence, head = t % Heads;
      attention_tile<dim, Value, 1, T>(
          b.sequence, 0, b.document_start + row, {q.row(row) + head * dim, Heads * dim},
          {k.row(row) + head * dim, Heads * dim}, {kv.row(row) + head * both + Nope, Heads * both},
          {out.row(row) + head * Value, Heads * Value},
          log_sum_exp.data == nullptr ? nullptr : log_sum_exp.row(row) + head, Heads,
          score_factor / std::sqrt(float(dim)), self().workspace());
    });
  }
  /// q, k and the values in kv are replaced by their gradients.
  template <int Heads, int Nope, int Turned, int Value, class T>
  void latent_attention_backward(nn::micro_batch const& b, nn::rows<T, Heads*(Nope + Turned)> q,
                                 nn::rows<T, Heads*(Nope + Turned)> k, nn::rows<T, Heads*(Nope + Value)> kv,
                                 nn::rows<T, Heads * Value> out, nn::rows<float, Heads> log_sum_exp,
                                 nn::rows<float, Heads * Value> d_out, float score_factor) const {
    constexpr int dim = Nope + Turned, both = Nope + Value;
    self().tasks(b.samples * Heads, [&](std::int64_t t) {
      auto const row = t / Heads * b.sequence, head = t % Heads;
      attention_tile_backward<dim, Value, 1, T>(
          b.sequence, b.document_start + row, {q.row(row) + head * dim, Heads * dim},
          {k.row(row) + head * dim, Heads * dim}, {kv.row(row) + head * both + Nope, Heads * both},
          {out.row(row) + head * Value, Heads * Value}, log_sum_exp.row(row) + head, Heads,
          {d_out.row(row) + head * Value, Heads * Value}, score_factor / std::sqrt(float(dim)), self().workspace());
    });
  }
  /// Of several texts (`cache_row`): the newest latents and shared keys, which came in behind all texts, go to their places.
  template <class T, int Rank, int Turned>
  void keep_latents(nn::micro_batch const& b, nn::rows<T, Rank> latent, nn::rows<T, Turned> shared) const {
    if (b.cache_row == nullptr) return;
    self().rows(b.num_rows(), [&](auto first, auto last) {
      for (auto i = first; i < last; ++i) {
        std::copy_n(latent.row(b.past + i), Rank, latent.row(b.cache_row[i]));
        std::copy_n(shared.row(b.past + i), Turned, shared.row(b.cache_row[i]));
      }
    });
  }
  /// The same result for the batch's rows after `past` cached ones, out of latents and shared keys alone; `up` is the
  /// matrix that would expand a latent into kv. Reads all members' rows.
  template <int Heads, int Nope, int Turned, int Value, class T, int Rank, nn::role R, nn::initializer I, int D>
  void latent_decode(nn::micro_batch const& b, nn::rows<T, Heads*(Nope + Turned)> q,
                     nn::weight<T, Heads*(Nope + Value), Rank, R, I, D> const& up, nn::rows<T, Rank> latent,
                     nn::rows<T, Turned> shared, nn::rows<T, Heads * Value> out, float score_factor) const {
    constexpr int dim = Nope + Turned, both = Nope + Value;
    static_assert(2 * Rank + Turned <= attention_workspace(1, dim) - 1, "two rows of latents fit into the workspace of attention (rules::latent_fields_given)");
    self().tasks(b.num_rows() * Heads, [&](std::int64_t t) {
      auto const i = t / Heads, head = t % Heads;
      bool const several = b.cache_row != nullptr;
      auto const sample = several ? 0 : i / b.sequence * b.sequence,
                 end = several ? b.cache_row[i] + 1 : b.past + i - sample + 1;
      latent_row<Nope, Turned, Value, Rank>(q.row(i) + head * dim, up.data + head * both * Rank, latent.row(sample),
                                            shared.row(sample), b.document_start[i], end,
                                            score_factor / std::sqrt(float(dim)), out.row(i) + head * Value,
                                            self().workspace());
    });
  }

 private:
  X const& self() const { return static_cast<X const&>(*this); }
};

}  // namespace tenon::exec::cpu::inline CPU_CAPABILITY
