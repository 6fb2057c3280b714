#pragma once
#include <ATen/Parallel.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/one_hot.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/topk.h>

#include <vector>

#include "support/micro_batch.hpp"
#include "support/reference_model.hpp"
#include "support/test.hpp"
#include "support/toy_layers.hpp"
#include "tenon/exec/store.hpp"
#include "tenon/models/deepseek_llm.hpp"

/// The toy model, and the door to every model's reference: the same mathematics in LibTorch's operators, fp64,
/// autograd.
namespace toy {

/// The tensors here are tiny: threads of LibTorch's own would only spin beside the team's.
inline bool const one_thread = (at::set_num_threads(1), true);

inline at::Tensor ids(std::vector<std::int32_t> const& v) {
  return at::from_blob(const_cast<std::int32_t*>(v.data()), {std::int64_t(v.size())}, at::kInt).to(at::kLong);
}

template <int Every, int Layers>
at::Tensor reference_logits(model<Every, Layers> const&, reference::parameters const& p, random_batch const& b) {
  using m = model<Every, Layers>;
  auto x = at::embedding(p.at("model.embed_tokens.weight"), ids(b.tokens));
  auto const row = at::arange(b.sequence, at::kLong);
  auto const seen = (row.view({1, 1, -1}) <= row.view({1, -1, 1})) &
                    (row.view({1, 1, -1}) >= ids(b.document_start).view({b.samples, b.sequence, 1}));
  for (int l = 0; l < Layers; ++l) {
    auto const w = [&](char const* n) { return p.at("model.layers." + std::to_string(l) + "." + n); };
    auto const heads = [&](at::Tensor const& t, int n) {
      return t.view({b.samples, b.sequence, n, m::head_dim}).transpose(1, 2).repeat_interleave(m::heads / n, 1);
    };
    auto const turned = [&](at::Tensor const& t, int n) {
      return reference::rotate(t.view({-1, n, m::head_dim}), ids(b.positions), 10000);
    };
    auto const h = reference::rmsnorm(x, w("input_layernorm.weight"), 1e-6);
    auto const q = heads(turned(at::linear(h, w("self_attn.q_proj.weight")), m::heads), m::heads);
    auto const k = heads(turned(at::linear(h, w("self_attn.k_proj.weight")), m::kv_heads), m::kv_heads);
    auto const v = heads(at::linear(h, w("self_attn.v_proj.weight")), m::kv_heads);
    auto const scores = (at::matmul(q, k.transpose(-1, -2)) / std::sqrt(double(m::head_dim)))
                            .masked_fill(seen.logical_not().unsqueeze(1), -INFINITY);
    x = x + at::linear(at::matmul(at::softmax(scores, -1), v).transpose(1, 2).reshape({-1, m::hidden}),
                       w("self_attn.o_proj.weight"));

    auto const f = reference::rmsnorm(x, w("post_attention_layernorm.weight"), 1e-6);
    auto const probability = at::softmax(at::linear(f, w("mlp.router")), -1);
    auto const best = std::get<1>(at::topk(probability.slice(1, 0, m::experts - 1), m::chosen, 1));
    auto const gate = probability * at::one_hot(best, m::experts).sum(1);
    auto const up = w("mlp.up").view({m::experts, m::inner, m::hidden}),
               down = w("mlp.down").view({m::experts, m::hidden, m::inner});
    auto after = x;
    for (int e = 0; e < m::experts; ++e)
      after = after + gate.slice(1, e, e + 1) * at::linear(at::tanh(at::linear(f, up[e])), down[e]);
    x = autograd_module<m::hidden>::function(after, w("foreign.weight"), w("foreign.bias"));
  }
  return at::linear(reference::rmsnorm(x, p.at("model.norm.weight"), 1e-6), p.at("model.embed_tokens.weight"));
}

template <int Vocab, int Hidden, int Layers, int Heads, int KvHeads, int Intermediate, int Positions, bool Tied,
          std::uint32_t Eps, int Every>
at::Tensor reference_logits(tenon::models::deepseek_llm<Vocab, Hidden, Layers, Heads, KvHeads, Intermediate, Positions,
                                                        Tied, Eps, Every> const&,
                            reference::parameters const& p, random_batch const& b) {
  return reference::logits(p, {Layers, Heads, KvHeads, Tied}, ids(b.tokens), ids(b.positions), ids(b.document_start),
                           b.samples, b.sequence);
}

/// The values of a store's flat buffer as fp64 tensors that take gradients.
template <class Model>
reference::parameters reference_parameters(float const* master) {
  reference::parameters p;
  for (auto const& place : tenon::exec::parameter_places<Model>()) {
    auto const t = at::from_blob(const_cast<float*>(master) + place.offset, {place.rows, place.cols}).to(at::kDouble);
    p[place.name] = (place.rank == 1 ? t.view({place.cols}) : t).clone().requires_grad_(true);
  }
  return p;
}

/// Loss per token of some micro-batches together, and every gradient.
template <class Model>
std::pair<double, reference::parameters> autograd(float const* master, std::vector<random_batch> const& batches) {
  auto p = reference_parameters<Model>(master);
  double loss = 0, count = 0;
  for (auto const& b : batches) count += double(b.count());
  for (auto const& b : batches) {
    auto const sum =
        at::cross_entropy_loss(reference_logits(Model{}, p, b), ids(b.targets), {}, /*reduction: sum*/ 2, -1) / count;
    sum.backward();
    loss += sum.template item<double>();
  }
  return {loss, p};
}

/// Every gradient, tensor by tensor: |have - want| <= tolerance * |want| in the Euclidean norm.
template <class Model>
void expect_gradients(float const* gradient, reference::parameters const& p, double tolerance = 1e-5) {
  for (auto const& place : tenon::exec::parameter_places<Model>()) {
    auto const g = p.at(place.name).grad().contiguous();
    double difference = 0, norm = 0;
    for (std::int64_t i = 0; i < place.size(); ++i) {
      double const want = g.template const_data_ptr<double>()[i], have = gradient[place.offset + i];
      difference += (want - have) * (want - have), norm += want * want;
    }
    DOCTEST_INFO(place.name);
    EXPECT(norm > 0);
    EXPECT(std::sqrt(difference / norm) <= tolerance);
  }
}

}  // namespace toy
