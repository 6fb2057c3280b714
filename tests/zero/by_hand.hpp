#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "kernel.hpp"
#include "tenon/nn/context.hpp"
#include "tenon/nn/views.hpp"

namespace zero {

namespace nn = tenon::nn;

/// The same pass as somebody writes it who has this one model: kernels called one after the other on pointers that were
/// looked up beforehand. No layers, no combinators, no views, no store, no leases.
template <class Model, class T, bool Recompute>
class by_hand {
  static constexpr int L = Model::layers;
  struct norm {
    void const* w;
    float *g, *inverse, *partial;
  };
  struct block {
    norm before, middle;
    void const *q, *k, *v, *o, *gate, *up, *down;
    float *g_q, *g_k, *g_v, *g_o, *g_gate, *g_up, *g_down;
    float *stream, *between, *lse;
    void *in, *query, *key, *value, *mixed, *d_mixed_out, *in2, *gated, *raised, *activated, *d_out2;
  };

 public:
  template <class Store, class Memory, class Places>
  by_hand(Store const& store, Memory const& m, Places const& places) : cos_(m.rotary_cos), sin_(m.rotary_sin) {
    auto const bind = [&](auto& w, float*& g, std::string const& name) {
      for (auto const& p : places)
        if (p.name == name) return void((w = store.compute() + p.offset, g = store.gradient() + p.offset));
      std::abort();
    };
    auto const bind_norm = [&](norm& to, auto const& saved, std::string const& name) {
      bind(to.w, to.g, name);
      to.inverse = saved.inverse_rms.data, to.partial = saved.d_weight.data;
    };
    for (int i = 0; i < L; ++i) {
      auto& b = blocks_[std::size_t(i)];
      auto const& s = m.saved.body.block[Recompute ? 0 : std::size_t(i)];
      std::string const at = "model.layers." + std::to_string(i) + ".";
      bind_norm(b.before, s.attention.norm, at + "input_layernorm.weight");
      bind_norm(b.middle, s.feed_forward.norm, at + "post_attention_layernorm.weight");
      bind(b.q, b.g_q, at + "self_attn.q_proj.weight"), bind(b.k, b.g_k, at + "self_attn.k_proj.weight");
      bind(b.v, b.g_v, at + "self_attn.v_proj.weight"), bind(b.o, b.g_o, at + "self_attn.o_proj.weight");
      bind(b.gate, b.g_gate, at + "mlp.gate_proj.weight"), bind(b.up, b.g_up, at + "mlp.up_proj.weight");
      bind(b.down, b.g_down, at + "mlp.down_proj.weight");
      auto const& a = s.attention.inner;
      auto const& f = s.feed_forward.inner;
      b.stream = m.saved.body.stream[std::size_t(i)].data, b.between = s.middle.data, b.lse = a.dx.log_sum_exp.data;
      b.in = a.dw.in.data, b.query = a.dx.q.data, b.key = a.kv.k.data, b.value = a.kv.v.data, b.mixed = a.dw.mixed.data;
      b.d_mixed_out = a.dw.d_out.data, b.in2 = f.dw.in.data, b.gated = f.dx.gate.data, b.raised = f.dx.up.data;
      b.activated = f.dw.activated.data, b.d_out2 = f.dw.d_out.data;
    }
    bind(table_, g_table_, "model.embed_tokens.weight");
    if constexpr (Model::tied)
      head_ = table_, g_head_ = g_table_;
    else
      bind(head_, g_head_, "lm_head.weight");
    auto const& h = m.saved.head;
    bind_norm(last_, h.norm, "model.norm.weight");
    out_ = h.in.data, normed_ = h.normed.data, logits_ = h.logits.data, loss_ = h.loss.data;
    d_logits_ = std::is_same_v<T, float> ? static_cast<void*>(h.logits.data) : static_cast<void*>(h.d_logits.data);
    d_branch_ = m.scratch.block.d_branch.data, d_stream_ = m.scratch.d_stream.data;
    d_mixed_ = m.scratch.block.attention.d_mixed.data, d_activated_ = m.scratch.block.feed_forward.d_activated.data;
  }

  void forward_backward(nn::micro_batch const& b, float seed, bool first) const {
    std::int64_t const n = b.num_rows();
    float const beta = first ? 0.f : 1.f;
    zero_kernel(op::embedding, n, b.tokens, table_, blocks_[0].stream, 0);
    for (int i = 0; i < L; ++i) forward(n, blocks_[std::size_t(i)], i + 1 < L ? blocks_[std::size_t(i) + 1].stream : out_);
    normalise(n, out_, last_, normed_);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    float head_beta = beta;
    constexpr int chunk = Model::head_layer::chunk;
    for (std::int64_t at = 0; at < n; at += chunk) {
      auto const rows = std::min<std::int64_t>(chunk, n - at);
      T* const in = static_cast<T*>(normed_) + at * Model::hidden;
      zero_kernel(op::linear, rows, in, head_, logits_, 0);
      zero_attention(op::cross_entropy_gradient, rows, logits_, b.targets + at, d_logits_, loss_ + at / nn::row_tile, nullptr, nullptr);
      zero_kernel(op::cross_entropy_gradient, rows, nullptr, nullptr, nullptr, seed);
      zero_kernel(op::linear_backward_input, rows, d_logits_, head_, d_branch_ + at * Model::hidden, 0);
      zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
      zero_kernel(op::linear_backward_weight, rows, d_logits_, in, g_head_, head_beta);
      zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
      head_beta = 1;
    }
    zero_kernel(op::zero, n, d_stream_, nullptr, nullptr, 0);
    normalise_back(n, out_, last_);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    zero_kernel(op::add_tiles, n, last_.g, last_.partial, nullptr, beta);
    for (int i = L - 1; i >= 0; --i) {
      auto const& l = blocks_[std::size_t(i)];
      if constexpr (Recompute) forward(n, l, d_branch_);
      backward(n, l, beta);
    }
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    zero_kernel(op::embedding_backward, n, b.tokens, d_stream_, g_table_, Model::tied ? 1.f : beta);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
  }

 private:
  void normalise(std::int64_t n, float const* in, norm const& w, void* out) const {
    zero_attention(op::rmsnorm, n, in, w.w, out, w.inverse, nullptr, nullptr);
    zero_kernel(op::rmsnorm, n, nullptr, nullptr, nullptr, Model::norm_layer::epsilon);
  }
  void normalise_back(std::int64_t n, float const* in, norm const& w) const {
    zero_attention(op::rmsnorm_backward, n, in, w.w, w.inverse, d_branch_, d_stream_, w.partial);
  }
  void forward(std::int64_t n, block const& l, float* out) const {
    normalise(n, l.stream, l.before, l.in);
    zero_kernel(op::copy, n, l.stream, l.between, nullptr, 0);
    zero_kernel(op::linear, n, l.in, l.q, l.query, 0);
    zero_kernel(op::linear, n, l.in, l.k, l.key, 0);
    zero_kernel(op::linear, n, l.in, l.v, l.value, 0);
    zero_kernel(op::rotary, n, l.query, cos_, sin_, 1);
    zero_kernel(op::rotary, n, l.key, cos_, sin_, 1);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    zero_attention(op::attention, n, l.query, l.key, l.value, l.mixed, l.lse, nullptr);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    zero_kernel(op::linear_add, n, l.mixed, l.o, l.between, 0);
    normalise(n, l.between, l.middle, l.in2);
    zero_kernel(op::copy, n, l.between, out, nullptr, 0);
    zero_kernel(op::linear, n, l.in2, l.gate, l.gated, 0);
    zero_kernel(op::linear, n, l.in2, l.up, l.raised, 0);
    zero_kernel(op::swiglu, n, l.gated, l.raised, l.activated, 0);
    zero_kernel(op::linear_add, n, l.activated, l.down, out, 0);
  }
  void backward(std::int64_t n, block const& l, float beta) const {
    zero_kernel(op::convert, n, d_stream_, l.d_out2, nullptr, 0);
    zero_kernel(op::linear_backward_input, n, l.d_out2, l.down, d_activated_, 0);
    zero_kernel(op::swiglu_backward, n, d_activated_, l.gated, l.raised, 0);
    zero_kernel(op::linear_backward_input, n, l.gated, l.gate, d_branch_, 0);
    zero_kernel(op::linear_backward_input, n, l.raised, l.up, d_branch_, 1);
    normalise_back(n, l.between, l.middle);
    zero_kernel(op::convert, n, d_stream_, l.d_mixed_out, nullptr, 0);
    zero_kernel(op::linear_backward_input, n, l.d_mixed_out, l.o, d_mixed_, 0);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    zero_attention(op::attention_backward, n, l.query, l.key, l.value, l.mixed, l.lse, d_mixed_);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    zero_kernel(op::rotary, n, l.query, cos_, sin_, -1);
    zero_kernel(op::rotary, n, l.key, cos_, sin_, -1);
    zero_kernel(op::linear_backward_input, n, l.query, l.q, d_branch_, 0);
    zero_kernel(op::linear_backward_input, n, l.key, l.k, d_branch_, 1);
    zero_kernel(op::linear_backward_input, n, l.value, l.v, d_branch_, 1);
    normalise_back(n, l.stream, l.before);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    zero_kernel(op::linear_backward_weight, n, l.d_out2, l.activated, l.g_down, beta);
    zero_kernel(op::linear_backward_weight, n, l.gated, l.in2, l.g_gate, beta);
    zero_kernel(op::linear_backward_weight, n, l.raised, l.in2, l.g_up, beta);
    zero_kernel(op::add_tiles, n, l.middle.g, l.middle.partial, nullptr, beta);
    zero_kernel(op::linear_backward_weight, n, l.d_mixed_out, l.mixed, l.g_o, beta);
    zero_kernel(op::linear_backward_weight, n, l.query, l.in, l.g_q, beta);
    zero_kernel(op::linear_backward_weight, n, l.key, l.in, l.g_k, beta);
    zero_kernel(op::linear_backward_weight, n, l.value, l.in, l.g_v, beta);
    zero_kernel(op::add_tiles, n, l.before.g, l.before.partial, nullptr, beta);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
  }

  std::array<block, L> blocks_{};
  norm last_{};
  void const *table_, *head_;
  float *g_table_, *g_head_, *out_, *logits_, *d_branch_, *d_stream_, *d_mixed_, *d_activated_;
  void *normed_, *d_logits_;
  double* loss_;
  float const *cos_, *sin_;
};

}  // namespace zero
