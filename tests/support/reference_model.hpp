#pragma once
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <map>
#include <string>

/// The dense decoder written with LibTorch's operators and differentiated by its autograd: the oracle for our backward
/// pass.
namespace reference {

struct shape {
  int layers, heads, kv_heads;
  bool tied;
  double eps = 1e-6, theta = 10000;
};
using parameters = std::map<std::string, at::Tensor>;

inline at::Tensor rmsnorm(at::Tensor const& x, at::Tensor const& w, double eps) {
  return w * (x * at::rsqrt(x.pow(2).mean(-1, true) + eps));
}
inline at::Tensor rotate(at::Tensor const& x, at::Tensor const& position, double theta) {  // x: [rows, heads, dim]
  auto const half = x.size(-1) / 2;
  auto const frequency =
      at::arange(0, half, x.options().dtype(at::kDouble).requires_grad(false)).mul(-2.0 / double(x.size(-1))).mul(std::log(theta)).exp().to(x.scalar_type());
  auto const angle = (position.to(x.scalar_type()).unsqueeze(1) * frequency.unsqueeze(0)).unsqueeze(1);
  auto const a = x.slice(-1, 0, half), b = x.slice(-1, half);
  return at::cat(std::vector<at::Tensor>{a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()}, -1);
}

/// Logits [samples * sequence, vocab]. int64 tokens/positions, document_start as in tenon::nn::micro_batch; all on one device.
inline at::Tensor logits(parameters const& p, shape const& s, at::Tensor const& tokens, at::Tensor const& positions,
                         at::Tensor const& document_start, std::int64_t samples, std::int64_t sequence) {
  auto x = at::embedding(p.at("model.embed_tokens.weight"), tokens);
  auto const hidden = x.size(-1), dim = hidden / s.heads;
  auto const row = at::arange(sequence, tokens.options());
  auto const start = document_start.view({samples, sequence, 1});
  auto const seen = (row.view({1, 1, sequence}) <= row.view({1, sequence, 1})) & (row.view({1, 1, sequence}) >= start);
  for (int l = 0; l < s.layers; ++l) {
    auto const at_layer = [&](char const* n) { return p.at("model.layers." + std::to_string(l) + "." + n); };
    auto const h = rmsnorm(x, at_layer("input_layernorm.weight"), s.eps);
    auto const split = [&](at::Tensor const& t, int heads) {
      return t.view({samples, sequence, heads, dim}).transpose(1, 2);
    };
    auto const q =
        split(rotate(at::linear(h, at_layer("self_attn.q_proj.weight")).view({-1, s.heads, dim}), positions, s.theta),
              s.heads);
    auto const group = s.heads / s.kv_heads;
    auto const k = split(rotate(at::linear(h, at_layer("self_attn.k_proj.weight")).view({-1, s.kv_heads, dim}),
                                positions, s.theta),
                         s.kv_heads)
                       .repeat_interleave(group, 1);
    auto const v = split(at::linear(h, at_layer("self_attn.v_proj.weight")), s.kv_heads).repeat_interleave(group, 1);
    auto const scores = at::matmul(q, k.transpose(-1, -2)) / std::sqrt(double(dim));
    auto const weights = at::softmax(scores.masked_fill(seen.logical_not().unsqueeze(1), -INFINITY), -1);
    auto const mixed = at::matmul(weights, v).transpose(1, 2).reshape({-1, hidden});
    x = x + at::linear(mixed, at_layer("self_attn.o_proj.weight"));
    auto const f = rmsnorm(x, at_layer("post_attention_layernorm.weight"), s.eps);
    x = x + at::linear(at::silu(at::linear(f, at_layer("mlp.gate_proj.weight"))) *
                           at::linear(f, at_layer("mlp.up_proj.weight")),
                       at_layer("mlp.down_proj.weight"));
  }
  return at::linear(rmsnorm(x, p.at("model.norm.weight"), s.eps),
                    p.at(s.tied ? "model.embed_tokens.weight" : "lm_head.weight"));
}

}  // namespace reference
