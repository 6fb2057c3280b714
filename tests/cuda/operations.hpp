#pragma once
// Every operation of the executor on a GPU (or the emulated one), one by one, beside the same operation of another executor:
// the plain loops of toy_executor, or exec::cpu's (tests/cuda/gpu/beside_cpu.cpp). Widths fill no tile and no warp; rows end
// inside a tile; documents end inside samples.
#include <algorithm>
#include <numeric>

#include "cuda/rig.hpp"

namespace operations {

using namespace tenon;
inline constexpr int width = 40, inner = 52, heads = 4, kv_heads = 2, dim = width / heads, kv = kv_heads * dim, vocab = 70;
inline constexpr std::int64_t samples = 2, sequence = 21, n = samples * sequence;

/// Values that the format T holds, and memory of the device with them.
template <class T, class Other>
struct pair_of {
  std::vector<Other> host;
  exec::cuda::device_memory memory;
  exec::cuda::stream on;

  /// `seed` 0: zeros.
  pair_of(exec::cuda::stream s, std::size_t count, std::uint64_t seed) : memory(std::int64_t(count * sizeof(T))), on(s) {
    random_stream const random(seed, "operands");
    std::vector<T> values;
    for (std::size_t i = 0; i < count; ++i) values.push_back(rounded<T>(seed == 0 ? 0. : random.normal(i)));
    for (auto const v : values) host.push_back(rounded<Other>(widened(v)));
    exec::cuda::copy_to_device(on, memory.data(), values.data(), memory.bytes());
    exec::cuda::wait_for(on);
  }
  template <class To>
  static To rounded(double x) {
    if constexpr (std::is_same_v<To, double>)
      return x;
    else
      return nn::narrow<To>(float(x));
  }
  template <class From>
  static double widened(From x) {
    if constexpr (std::is_same_v<From, double>)
      return x;
    else
      return double(nn::widen(x));
  }
  std::vector<T> back() const {
    std::vector<T> have(host.size());
    exec::cuda::copy_to_host(on, have.data(), memory.data(), memory.bytes());
    exec::cuda::wait_for(on);
    return have;
  }
  /// Sums of both sides, which may have parted it among tiles otherwise.
  double total() const {
    double sum = 0;
    for (auto const x : back()) sum += widened(x);
    return sum;
  }
  double host_total() const {
    double sum = 0;
    for (auto const x : host) sum += widened(x);
    return sum;
  }
  T* device() const { return reinterpret_cast<T*>(memory.data()); }
  /// The norm of the difference over the other executor's norm.
  double apart() const {
    auto const have = back();
    double off = 0, norm = 0;
    for (std::size_t i = 0; i < have.size(); ++i) {
      double const want = widened(host[i]), d = widened(have[i]) - want;
      off += d * d, norm += want * want;
    }
    return norm > 0 ? std::sqrt(off / norm) : off == 0 ? 0 : 1e30;
  }
};

/// Views over either side's memory.
template <int Width, class T>
nn::rows<T, Width> rows_at(T* p) {
  return {p};
}
template <int Rows, int Cols, nn::role Role, int Rank = 2, class T>
nn::weight<T, Rows, Cols, Role, nn::initializer::normal, Rank> weight_at(T* p) {
  return {p};
}
template <int Rows, int Cols, nn::role Role, int Rank = 2>
nn::gradient<Rows, Cols, Role, nn::initializer::normal, Rank> sink_at(float* p, float beta) {
  return {p, beta};
}

/// `run(f)` calls f(executor) of the other side, whose compute format is Other; T is the GPU's. `tolerance`: of the norm.
template <class T, class Other, class Run>
void beside(Run run, double tolerance) {
  using namespace exec::cuda;
  using enum nn::role;
  tolerance *= rigs::slack;
  owned_stream const own = make_stream();
  auto const s = own.get();
  auto const floats = [&](std::int64_t rows, int w, std::uint64_t draw) { return pair_of<float, float>(s, std::size_t(rows * w), draw); };
  auto const values = [&](std::int64_t rows, int w, std::uint64_t draw) { return pair_of<T, Other>(s, std::size_t(rows * w), draw); };

  random_batch const batch(samples, sequence, vocab, 5);
  std::vector<std::int32_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return batch.tokens[std::size_t(a)] < batch.tokens[std::size_t(b)]; });
  device_memory const integers(5 * n * 4);
  auto const sent = [&](int place, std::vector<std::int32_t> const& v) {
    auto* const to = reinterpret_cast<std::int32_t*>(integers.data()) + place * n;
    copy_to_device(s, to, v.data(), n * 4);
    wait_for(s);
    return static_cast<std::int32_t const*>(to);
  };
  constexpr int half = dim / 2, positions = 64;
  pair_of<float, float> cosine(s, positions * half, 0), sine(s, positions * half, 0), one(s, 1, 0);
  exec::rotary_tables(nn::rotation{10000}, positions, dim, cosine.host.data(), sine.host.data());
  one.host[0] = 1;
  for (auto* p : {&cosine, &sine, &one}) copy_to_device(s, p->memory.data(), p->host.data(), p->memory.bytes());
  wait_for(s);
  auto const here = batch.view(cosine.host.data(), sine.host.data());
  nn::micro_batch there{.samples = samples, .sequence = sequence};
  there.tokens = sent(0, batch.tokens), there.targets = sent(1, batch.targets), there.positions = sent(2, batch.positions);
  there.document_start = sent(3, batch.document_start), there.rotary_cos = cosine.device(), there.rotary_sin = sine.device();

  auto delta = floats(n, heads, 0);
  auto d_q = values(n, width, 0), d_k = values(n, kv, 0), d_v = values(n, kv, 0);
  device_memory const products_room(gemm_workspace), losses(256 * 8);
  gemm products(products_room.data());
  workspace_places<T> const room{{delta.device(), d_q.device(), d_k.device(), d_v.device()}, reinterpret_cast<double*>(losses.data())};
  executor<T> const gpu(s, products, room, {sent(4, order), nullptr, 0, int(sequence)}, one.device());

  /// f(executor, where a side's memory is, its micro-batch) on both sides; then the results are compared.
  auto const both = [&](char const* what, auto f, auto const&... results) {
    f(gpu, [](auto const& p) { return p.device(); }, there);
    run([&](auto& x) { f(x, [](auto& p) { return p.host.data(); }, here); });
    DOCTEST_INFO(what);
    (EXPECT(results.apart() <= tolerance), ...);
  };

  auto in = values(n, width, 1), wide_in = values(n, inner, 2), w = values(inner, width, 3);
  auto out = values(n, inner, 0);
  auto stream = floats(n, inner, 4), d_in = floats(n, width, 5), d_in_added = floats(n, width, 6), g = floats(inner, width, 7), g_added = floats(inner, width, 8);
  both("products", [&](auto& x, auto at, auto const&) {
    auto const matrix = weight_at<inner, width, hidden>(at(w));
    x.linear(n, rows_at<width>(at(in)), matrix, rows_at<inner>(at(out)));
    x.linear_add(n, rows_at<width>(at(in)), matrix, rows_at<inner>(at(stream)));
    x.linear_backward_input(n, rows_at<inner>(at(wide_in)), matrix, rows_at<width>(at(d_in)), 0.f);
    x.linear_backward_input(n, rows_at<inner>(at(wide_in)), matrix, rows_at<width>(at(d_in_added)), 1.f);
    x.linear_backward_weight(n, rows_at<inner>(at(wide_in)), rows_at<width>(at(in)), sink_at<inner, width, hidden>(at(g), 0.f));
    x.linear_backward_weight(n, rows_at<inner>(at(wide_in)), rows_at<width>(at(in)), sink_at<inner, width, hidden>(at(g_added), 1.f));
  }, out, stream, d_in, d_in_added, g, g_added);

  auto x_in = floats(n, width, 11), inverse = floats(n, 1, 0), d_normed = floats(n, width, 12), d_stream = floats(n, width, 13);
  auto tiles = floats(nn::num_row_tiles(n), width, 0), d_scale = floats(1, width, 14), d_scale_added = floats(1, width, 15);
  auto scale = values(1, width, 16), normed = values(n, width, 0);
  both("rmsnorm", [&](auto& x, auto at, auto const&) {
    auto const weight = weight_at<1, width, norm, 1>(at(scale));
    nn::per_tile<float, width> const partial{at(tiles)};
    x.rmsnorm(n, rows_at<width>(at(x_in)), weight, rows_at<width>(at(normed)), rows_at<1>(at(inverse)), 1e-6f);
    x.rmsnorm_backward(n, rows_at<width>(at(x_in)), weight, rows_at<1>(at(inverse)), rows_at<width>(at(d_normed)), rows_at<width>(at(d_stream)), partial);
    x.add_tiles(n, sink_at<1, width, norm, 1>(at(d_scale), 0.f), partial);
    x.add_tiles(n, sink_at<1, width, norm, 1>(at(d_scale_added), 1.f), partial);
  }, normed, inverse, d_stream, d_scale, d_scale_added);

  auto gate = values(n, inner, 21), up = values(n, inner, 22), product = values(n, inner, 0);
  auto d_product = floats(n, inner, 23);
  both("swiglu", [&](auto& x, auto at, auto const&) {
    x.swiglu(n, rows_at<inner>(at(gate)), rows_at<inner>(at(up)), rows_at<inner>(at(product)));
    x.swiglu_backward(n, rows_at<inner>(at(d_product)), rows_at<inner>(at(gate)), rows_at<inner>(at(up)));
  }, product, gate, up);

  auto turned = values(n, width, 31), back = values(n, width, 32);
  both("rotation", [&](auto& x, auto at, nn::micro_batch const& b) {
    x.template rotary<dim>(b, rows_at<width>(at(turned)), 1);
    x.template rotary<dim>(b, rows_at<width>(at(back)), -1);
  }, turned, back);

  auto q = values(n, width, 41), k = values(n, kv, 42), v = values(n, kv, 43), mixed = values(n, width, 0);
  auto lse = floats(n, heads, 0), d_mixed = floats(n, width, 44);
  both("attention", [&](auto& x, auto at, nn::micro_batch const& b) {
    x.template attention<heads, kv_heads>(b, rows_at<width>(at(q)), rows_at<kv>(at(k)), rows_at<kv>(at(v)), rows_at<width>(at(mixed)), rows_at<heads>(at(lse)));
  }, mixed, lse);
  both("attention, backward", [&](auto& x, auto at, nn::micro_batch const& b) {
    x.template attention_backward<heads, kv_heads>(b, rows_at<width>(at(q)), rows_at<kv>(at(k)), rows_at<kv>(at(v)), rows_at<width>(at(mixed)), rows_at<heads>(at(lse)), rows_at<width>(at(d_mixed)));
  }, q, k, v);

  auto table = values(vocab, width, 51);
  auto embedded = floats(n, width, 0), d_embedded = floats(n, width, 52), d_table = floats(vocab, width, 53), d_table_added = floats(vocab, width, 54);
  both("embedding", [&](auto& x, auto at, nn::micro_batch const& b) {
    x.embedding(b, weight_at<vocab, width, nn::role::embedding>(at(table)), rows_at<width>(at(embedded)));
    x.embedding_backward(b, rows_at<width>(at(d_embedded)), sink_at<vocab, width, nn::role::embedding>(at(d_table), 0.f));
    x.embedding_backward(b, rows_at<width>(at(d_embedded)), sink_at<vocab, width, nn::role::embedding>(at(d_table_added), 1.f));
  }, embedded, d_table, d_table_added);

  auto logits = floats(n, vocab, 61), copied = floats(n, vocab, 0), cleared = floats(n, vocab, 62);
  auto d_logits = values(n, vocab, 0), narrowed = values(n, vocab, 0);
  pair_of<double, double> loss(s, std::size_t(nn::num_row_tiles(n)), 0), loss_alone(s, std::size_t(nn::num_row_tiles(n)), 0);
  both("cross entropy", [&](auto& x, auto at, nn::micro_batch const& b) {
    x.cross_entropy(n, rows_at<vocab>(at(logits)), b.targets, nn::per_tile<double, 1>{at(loss_alone)});
    x.cross_entropy_gradient(n, rows_at<vocab>(at(logits)), b.targets, 0.25f, rows_at<vocab>(at(d_logits)), nn::per_tile<double, 1>{at(loss)});
  }, d_logits);
  EXPECT_NEAR(loss.total(), loss.host_total(), 1e-5 * loss.host_total());
  EXPECT_NEAR(loss_alone.total(), loss.host_total(), 1e-5 * loss.host_total());
  both("copies", [&](auto& x, auto at, auto const&) {
    x.copy(n, rows_at<vocab>(at(logits)), rows_at<vocab>(at(copied)));
    x.convert(n, rows_at<vocab>(at(logits)), rows_at<vocab>(at(narrowed)));
    x.zero(n, rows_at<vocab>(at(cleared)));
  }, copied, narrowed, cleared);
}

}  // namespace operations
