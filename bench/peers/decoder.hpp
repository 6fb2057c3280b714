#pragma once
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/silu.h>
#include <torch/nn/module.h>
#include <torch/csrc/autograd/generated/variable_factories.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

/// The decoder of the workloads as a LibTorch user writes it: a torch::nn::Module of ATen's best operators. The
/// hand-written loop (libtorch_loop.cpp) and tenon's adapter (adapter_main.cpp) train this one module.
namespace peers {

struct sizes {
  std::int64_t vocab, hidden, layers, heads, kv_heads, intermediate, positions;
  bool tied;
  double rope_theta, norm_eps;
};

class decoder : public torch::nn::Module {
 public:
  explicit decoder(sizes const& s) : s_(s), head_dim_(s.hidden / s.heads) {
    // A parameter bears the name that it has in the file; its dots are the modules that the name leads through.
    auto const model = register_module("model", std::make_shared<holder>());
    auto const named = [](holder& in, std::string const& name) { return in.child(name); };
    table_ = named(*model, "embed_tokens")->weight({s.vocab, s.hidden});
    auto const layers = named(*model, "layers");
    for (std::int64_t i = 0; i < s.layers; ++i) {
      auto const one = named(*layers, std::to_string(i));
      auto const attention = named(*one, "self_attn"), mlp = named(*one, "mlp");
      auto const kv = s.kv_heads * head_dim_;
      blocks_.push_back({named(*one, "input_layernorm")->weight({s.hidden}),
                         named(*attention, "q_proj")->weight({s.hidden, s.hidden}), named(*attention, "k_proj")->weight({kv, s.hidden}),
                         named(*attention, "v_proj")->weight({kv, s.hidden}), named(*attention, "o_proj")->weight({s.hidden, s.hidden}),
                         named(*one, "post_attention_layernorm")->weight({s.hidden}),
                         named(*mlp, "gate_proj")->weight({s.intermediate, s.hidden}), named(*mlp, "up_proj")->weight({s.intermediate, s.hidden}),
                         named(*mlp, "down_proj")->weight({s.hidden, s.intermediate})});
    }
    norm_ = named(*model, "norm")->weight({s.hidden});
    if (!s.tied) {
      head_holder_ = register_module("lm_head", std::make_shared<holder>());
      head_ = head_holder_->weight({s.vocab, s.hidden});
    }
    // As the reference implementations do, the frequency is rounded to fp32 before it meets the position.
    std::vector<float> cos, sin;
    for (std::int64_t p = 0; p < s.positions; ++p)
      for (std::int64_t j = 0; j < head_dim_; ++j) {
        auto const frequency = float(std::pow(s.rope_theta, -2.0 * double(j % (head_dim_ / 2)) / double(head_dim_)));
        cos.push_back(std::cos(float(p) * frequency)), sin.push_back(std::sin(float(p) * frequency));
      }
    cos_ = torch::tensor(cos).view({s.positions, head_dim_}), sin_ = torch::tensor(sin).view({s.positions, head_dim_});
  }

  /// tokens int64 [samples, sequence] to logits [samples, sequence, vocab].
  at::Tensor forward(at::Tensor const& tokens) {
    auto const samples = tokens.size(0), sequence = tokens.size(1);
    auto const cos = cos_.narrow(0, 0, sequence), sin = sin_.narrow(0, 0, sequence);
    auto x = at::embedding(*table_, tokens);
    for (auto const& b : blocks_) {
      auto const in = normed(x, *b.norm1);
      auto const heads = [&](at::Tensor const& w) { return at::linear(in, w).view({samples, sequence, -1, head_dim_}).transpose(1, 2); };
      auto const mixed = at::scaled_dot_product_attention(rotated(heads(*b.q), cos, sin), rotated(heads(*b.k), cos, sin), heads(*b.v), {}, 0.0,
                                                          /*is_causal*/ true, {}, s_.kv_heads != s_.heads);
      x = x + at::linear(mixed.transpose(1, 2).reshape({samples, sequence, -1}), *b.o);
      auto const hidden = normed(x, *b.norm2);
      x = x + at::linear(at::silu(at::linear(hidden, *b.gate)) * at::linear(hidden, *b.up), *b.down);
    }
    return at::linear(normed(x, *norm_), s_.tied ? *table_ : *head_);
  }

 private:
  /// A module that gives its parameter a place in the names. Parameters are held by the module, so that whoever replaces
  /// a parameter's memory is seen here.
  struct holder : torch::nn::Module {
    std::shared_ptr<holder> child(std::string const& name) { return register_module(name, std::make_shared<holder>()); }
    at::Tensor* weight(std::vector<std::int64_t> const& shape) {
      return &register_parameter("weight", shape.size() == 1 ? torch::ones(shape) : torch::randn(shape) * 0.02);
    }
  };
  struct block {
    at::Tensor *norm1, *q, *k, *v, *o, *norm2, *gate, *up, *down;
  };
  at::Tensor normed(at::Tensor const& x, at::Tensor const& w) const { return at::rms_norm(x, {s_.hidden}, w, s_.norm_eps); }
  static at::Tensor rotated(at::Tensor const& x, at::Tensor const& cos, at::Tensor const& sin) {
    auto const halves = x.chunk(2, -1);  // the halves of a head are the pairs' members
    return x * cos + at::cat({-halves[1], halves[0]}, -1) * sin;
  }

  sizes s_;
  std::int64_t head_dim_;
  std::shared_ptr<holder> head_holder_;
  at::Tensor *table_ = nullptr, *norm_ = nullptr, *head_ = nullptr;
  std::vector<block> blocks_;
  at::Tensor cos_, sin_;
};

}  // namespace peers
