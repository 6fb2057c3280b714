#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include "exec/compare.hpp"
#include "support/micro_batch.hpp"
#include "tenon/exec/cpu/executor.hpp"

/// Attention, forward and backward, against LibTorch's operators in fp64: documents that end inside samples, lengths that
/// are no multiple of a tile, grouped heads, keys of an earlier part of the text.

using namespace tenon;
using namespace tenon::exec;

namespace {

/// [samples, heads, rows, keys] -> probabilities; row r of a sample sees keys document_start[r] .. past + r.
at::Tensor masked_softmax(at::Tensor const& scores, std::vector<std::int32_t> const& start, std::int64_t samples, std::int64_t rows, std::int64_t past) {
  auto const key = at::arange(past + rows, at::kLong).view({1, 1, -1}), row = at::arange(rows, at::kLong).view({1, -1, 1}) + past;
  auto const from = at::from_blob(const_cast<std::int32_t*>(start.data()), {samples, rows, 1}, at::kInt).to(at::kLong);
  auto const hidden = ((key <= row) & (key >= from)).logical_not().unsqueeze(1);
  return at::softmax(scores.masked_fill(hidden, -INFINITY), -1);
}

template <class T, int Heads, int KvHeads, int Dim>
void whole(std::int64_t samples, std::int64_t sequence, int members) {
  constexpr int width = Heads * Dim, kv_width = KvHeads * Dim;
  random_batch const batch(samples, sequence, 10, 4);
  auto const b = batch.view();
  auto q = random_values<T>(b.num_rows() * width, 1), k = random_values<T>(b.num_rows() * kv_width, 2), v = random_values<T>(b.num_rows() * kv_width, 3);
  auto const d_out = random_values<float>(b.num_rows() * width, 4);
  auto const qt = wide(q, {samples, sequence, Heads, Dim}), kt = wide(k, {samples, sequence, KvHeads, Dim}), vt = wide(v, {samples, sequence, KvHeads, Dim});
  auto const spread = [](at::Tensor const& t) { return t.transpose(1, 2).repeat_interleave(Heads / KvHeads, 1); };
  auto const scores = at::matmul(qt.transpose(1, 2), spread(kt).transpose(-1, -2)) / std::sqrt(double(Dim));
  auto const y = at::matmul(masked_softmax(scores, batch.document_start, samples, sequence, 0), spread(vt)).transpose(1, 2);
  y.backward(wide(d_out, {samples, sequence, Heads, Dim}).detach());

  std::vector<T> out(q.size());
  std::vector<float> log_sum_exp(std::size_t(b.num_rows() * Heads));
  auto const floats = attention_workspace(sequence, Dim);
  std::vector<float> room(std::size_t(floats * members));
  cpu::team team(members);
  bool backward = false;
  auto region = [&](int member) {
    cpu::executor<T> x(team, member, room.data() + member * floats, nullptr);
    nn::rows<T, width> const qs{q.data()}, os{out.data()};
    nn::rows<T, kv_width> const ks{k.data()}, vs{v.data()};
    nn::rows<float, Heads> const l{log_sum_exp.data()};
    if (!backward) x.template attention<Heads, KvHeads>(b, qs, ks, vs, os, l);
    else x.template attention_backward<Heads, KvHeads>(b, qs, ks, vs, os, l, nn::rows<float, width>{const_cast<float*>(d_out.data())});
  };
  team.run(region);
  expect_close(out, y, rounding<T>);
  backward = true;
  team.run(region);
  // In 16 bits the saved output is rounded, and D = dO . O with it.
  double const tolerance = std::is_same_v<T, float> ? 2e-5 : 5 * rounding<T>;
  expect_close(q, qt.grad(), tolerance);
  expect_close(k, kt.grad(), tolerance);
  expect_close(v, vt.grad(), tolerance);
}

template <class T>
void appended(std::int64_t past, std::int64_t rows) {
  constexpr int heads = 4, kv_heads = 2, dim = 8, width = heads * dim, kv_width = kv_heads * dim;
  auto const q = random_values<T>(rows * width, 1), k = random_values<T>((past + rows) * kv_width, 2), v = random_values<T>((past + rows) * kv_width, 3);
  std::vector<std::int32_t> start(std::size_t(rows), 0);
  for (std::int64_t i = rows / 2; i < rows; ++i) start[std::size_t(i)] = std::int32_t(past / 2);
  auto const qt = wide(q, {1, rows, heads, dim}), kt = wide(k, {1, past + rows, kv_heads, dim}), vt = wide(v, {1, past + rows, kv_heads, dim});
  auto const spread = [](at::Tensor const& t) { return t.transpose(1, 2).repeat_interleave(heads / kv_heads, 1); };
  auto const scores = at::matmul(qt.transpose(1, 2), spread(kt).transpose(-1, -2)) / std::sqrt(double(dim));
  auto const y = at::matmul(masked_softmax(scores, start, 1, rows, past), spread(vt)).transpose(1, 2);
  std::vector<T> out(q.size());
  std::vector<float> log_sum_exp(std::size_t(rows * heads)), room(std::size_t(attention_workspace(past + rows, dim)));
  nn::micro_batch b{.samples = 1, .sequence = rows};
  b.document_start = start.data(), b.past = past;
  cpu::team team(1);
  auto region = [&](int member) {
    cpu::executor<T> x(team, member, room.data(), nullptr);
    x.template attention<heads, kv_heads>(b, nn::rows<T, width>{const_cast<T*>(q.data())}, nn::rows<T, kv_width>{const_cast<T*>(k.data())},
                                          nn::rows<T, kv_width>{const_cast<T*>(v.data())}, nn::rows<T, width>{out.data()}, nn::rows<float, heads>{log_sum_exp.data()});
  };
  team.run(region);
  expect_close(out, y, rounding<T>);
}

}  // namespace

TEST("D1: attention with documents, forward and backward") {
  SUBCASE("fp32, one tile") { whole<float, 4, 2, 8>(3, 40, 1); }
  SUBCASE("fp32, tiles and a rest, three members") { whole<float, 4, 2, 8>(2, 150, 3); }
  SUBCASE("fp32, exactly a tile, a head for each query head") { whole<float, 3, 3, 6>(2, 64, 2); }
  SUBCASE("fp32, one key head") { whole<float, 4, 1, 16>(2, 65, 2); }
  SUBCASE("fp32, one row") { whole<float, 4, 2, 8>(5, 1, 2); }
  SUBCASE("bf16") { whole<nn::bf16, 4, 2, 8>(2, 150, 2); }
  SUBCASE("fp16") { whole<nn::fp16, 4, 2, 8>(2, 150, 2); }
}

TEST("attention to rows already in the cache") {
  SUBCASE("fp32: one row after many") { appended<float>(130, 1); }
  SUBCASE("fp32: a part of the text after another") { appended<float>(37, 90); }
  SUBCASE("fp32: prefill") { appended<float>(0, 70); }
  SUBCASE("bf16") { appended<nn::bf16>(37, 90); }
  SUBCASE("fp16") { appended<nn::fp16>(37, 90); }
}
