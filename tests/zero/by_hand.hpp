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

/// The same pass as somebody writes it who has this one model: kernels called one after the other, weights and gradients at
/// constant places of two flat buffers, activations at pointers that were looked up beforehand. No layers, no combinators,
/// no views, no store, no leases.
template <class Model, class T, int KvWidth, int Intermediate, bool Recompute>
class by_hand {
  static constexpr int L = Model::layers, V = Model::vocab, H = Model::hidden, F = Intermediate, W = KvWidth;
  // Elements before each parameter: in its block, and in the flat buffer. All sizes are multiples of a cache line here.
  static constexpr std::int64_t q = H, k = q + H * H, v = k + W * H, o = v + W * H, second_norm = o + H * H,
                                gate = second_norm + H, up = gate + F * H, down = up + F * H, block_size = down + H * F;
  static constexpr std::int64_t first_block = std::int64_t{V} * H, last_norm = first_block + L * block_size,
                                head = Model::tied ? 0 : last_norm + H;
  struct norm {
    float *inverse, *partial;
  };
  struct block {
    norm before, middle;
    float *stream, *between, *lse;
    void *in, *query, *key, *value, *mixed, *d_mixed_out, *in2, *gated, *raised, *activated, *d_out2;
  };

 public:
  template <class Store, class Memory, class Places>
  by_hand(Store const& store, Memory const& m, Places const& places)
      : w_(store.compute()), g_(store.gradient()), cos_(m.rotary_cos), sin_(m.rotary_sin) {
    auto const at = [&](std::int64_t offset, std::string const& name) {
      for (auto const& p : places)
        if (p.name == name && p.offset == offset) return;
      std::abort();
    };
    auto const bind_norm = [](norm& to, auto const& saved) { to = {saved.inverse_rms.data, saved.d_weight.data}; };
    for (int i = 0; i < L; ++i) {
      auto& b = blocks_[std::size_t(i)];
      auto const& s = m.saved.body.block[Recompute ? 0 : std::size_t(i)];
      std::string const name = "model.layers." + std::to_string(i) + ".";
      auto const first = first_block + i * block_size;
      at(first, name + "input_layernorm.weight"), at(first + q, name + "self_attn.q_proj.weight");
      at(first + k, name + "self_attn.k_proj.weight"), at(first + v, name + "self_attn.v_proj.weight");
      at(first + o, name + "self_attn.o_proj.weight"), at(first + second_norm, name + "post_attention_layernorm.weight");
      at(first + gate, name + "mlp.gate_proj.weight"), at(first + up, name + "mlp.up_proj.weight");
      at(first + down, name + "mlp.down_proj.weight");
      bind_norm(b.before, s.attention.norm), bind_norm(b.middle, s.feed_forward.norm);
      auto const& a = s.attention.inner;
      auto const& f = s.feed_forward.inner;
      b.stream = m.saved.body.stream[std::size_t(i)].data, b.between = s.middle.data, b.lse = a.dx.log_sum_exp.data;
      b.in = a.dw.in.data, b.query = a.dx.q.data, b.key = a.kv.k.data, b.value = a.kv.v.data, b.mixed = a.dw.mixed.data;
      b.d_mixed_out = a.dw.d_out.data, b.in2 = f.dw.in.data, b.gated = f.dx.gate.data, b.raised = f.dx.up.data;
      b.activated = f.dw.activated.data, b.d_out2 = f.dw.d_out.data;
    }
    at(0, "model.embed_tokens.weight"), at(last_norm, "model.norm.weight");
    if constexpr (!Model::tied) at(head, "lm_head.weight");
    auto const& h = m.saved.head;
    bind_norm(last_, h.norm);
    out_ = h.in.data, normed_ = h.normed.data, logits_ = h.logits.data, loss_ = h.loss.data;
    d_logits_ = std::is_same_v<T, float> ? static_cast<void*>(h.logits.data) : static_cast<void*>(h.d_logits.data);
    d_branch_ = m.scratch.block.d_branch.data, d_stream_ = m.scratch.d_stream.data;
    d_mixed_ = m.scratch.block.attention.d_mixed.data, d_activated_ = m.scratch.block.feed_forward.d_activated.data;
  }

  void forward_backward(nn::micro_batch const& b, float seed, bool first) const {
    std::int64_t const n = b.num_rows();
    float const beta = first ? 0.f : 1.f;
    zero_kernel(op::embedding, n, b.tokens, w_, blocks_[0].stream, 0);
    for (int i = 0; i < L; ++i) forward(n, weights(i), blocks_[std::size_t(i)], i + 1 < L ? blocks_[std::size_t(i) + 1].stream : out_);
    normalise(n, out_, w_ + last_norm, last_, normed_);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    float head_beta = beta;
    constexpr int chunk = Model::head_layer::chunk;
    for (std::int64_t at = 0; at < n; at += chunk) {
      auto const rows = std::min<std::int64_t>(chunk, n - at);
      T* const in = static_cast<T*>(normed_) + at * Model::hidden;
      zero_kernel(op::linear, rows, in, w_ + head, logits_, 0);
      zero_attention(op::cross_entropy_gradient, rows, logits_, b.targets + at, d_logits_, loss_ + at / nn::row_tile, nullptr, nullptr);
      zero_kernel(op::cross_entropy_gradient, rows, nullptr, nullptr, nullptr, seed);
      zero_kernel(op::linear_backward_input, rows, d_logits_, w_ + head, d_branch_ + at * Model::hidden, 0);
      zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
      zero_kernel(op::linear_backward_weight, rows, d_logits_, in, g_ + head, head_beta);
      zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
      head_beta = 1;
    }
    zero_kernel(op::zero, n, d_stream_, nullptr, nullptr, 0);
    normalise_back(n, out_, w_ + last_norm, last_);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    zero_kernel(op::add_tiles, n, g_ + last_norm, last_.partial, nullptr, beta);
    for (int i = L - 1; i >= 0; --i) {
      auto const& l = blocks_[std::size_t(i)];
      if constexpr (Recompute) forward(n, weights(i), l, d_branch_);
      backward(n, weights(i), g_ + first_block + i * block_size, l, beta);
    }
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    zero_kernel(op::embedding_backward, n, b.tokens, d_stream_, g_, Model::tied ? 1.f : beta);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
  }

 private:
  T const* weights(int i) const { return w_ + first_block + i * block_size; }
  void normalise(std::int64_t n, float const* in, T const* w, norm const& s, void* out) const {
    zero_attention(op::rmsnorm, n, in, w, out, s.inverse, nullptr, nullptr);
    zero_kernel(op::rmsnorm, n, nullptr, nullptr, nullptr, Model::norm_layer::epsilon);
  }
  void normalise_back(std::int64_t n, float const* in, T const* w, norm const& s) const {
    zero_attention(op::rmsnorm_backward, n, in, w, s.inverse, d_branch_, d_stream_, s.partial);
  }
  void forward(std::int64_t n, T const* w, block const& l, float* out) const {
    normalise(n, l.stream, w, l.before, l.in);
    zero_kernel(op::copy, n, l.stream, l.between, nullptr, 0);
    zero_kernel(op::linear, n, l.in, w + q, l.query, 0);
    zero_kernel(op::linear, n, l.in, w + k, l.key, 0);
    zero_kernel(op::linear, n, l.in, w + v, l.value, 0);
    zero_kernel(op::rotary, n, l.query, cos_, sin_, 1);
    zero_kernel(op::rotary, n, l.key, cos_, sin_, 1);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    zero_attention(op::attention, n, l.query, l.key, l.value, l.mixed, l.lse, nullptr);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    zero_kernel(op::linear_add, n, l.mixed, w + o, l.between, 0);
    normalise(n, l.between, w + second_norm, l.middle, l.in2);
    zero_kernel(op::copy, n, l.between, out, nullptr, 0);
    zero_kernel(op::linear, n, l.in2, w + gate, l.gated, 0);
    zero_kernel(op::linear, n, l.in2, w + up, l.raised, 0);
    zero_kernel(op::swiglu, n, l.gated, l.raised, l.activated, 0);
    zero_kernel(op::linear_add, n, l.activated, w + down, out, 0);
  }
  void backward(std::int64_t n, T const* w, float* g, block const& l, float beta) const {
    zero_kernel(op::convert, n, d_stream_, l.d_out2, nullptr, 0);
    zero_kernel(op::linear_backward_input, n, l.d_out2, w + down, d_activated_, 0);
    zero_kernel(op::swiglu_backward, n, d_activated_, l.gated, l.raised, 0);
    zero_kernel(op::linear_backward_input, n, l.gated, w + gate, d_branch_, 0);
    zero_kernel(op::linear_backward_input, n, l.raised, w + up, d_branch_, 1);
    normalise_back(n, l.between, w + second_norm, l.middle);
    zero_kernel(op::convert, n, d_stream_, l.d_mixed_out, nullptr, 0);
    zero_kernel(op::linear_backward_input, n, l.d_mixed_out, w + o, d_mixed_, 0);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    zero_attention(op::attention_backward, n, l.query, l.key, l.value, l.mixed, l.lse, d_mixed_);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    zero_kernel(op::rotary, n, l.query, cos_, sin_, -1);
    zero_kernel(op::rotary, n, l.key, cos_, sin_, -1);
    zero_kernel(op::linear_backward_input, n, l.query, w + q, d_branch_, 0);
    zero_kernel(op::linear_backward_input, n, l.key, w + k, d_branch_, 1);
    zero_kernel(op::linear_backward_input, n, l.value, w + v, d_branch_, 1);
    normalise_back(n, l.stream, w, l.before);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
    zero_kernel(op::linear_backward_weight, n, l.d_out2, l.activated, g + down, beta);
    zero_kernel(op::linear_backward_weight, n, l.gated, l.in2, g + gate, beta);
    zero_kernel(op::linear_backward_weight, n, l.raised, l.in2, g + up, beta);
    zero_kernel(op::add_tiles, n, g + second_norm, l.middle.partial, nullptr, beta);
    zero_kernel(op::linear_backward_weight, n, l.d_mixed_out, l.mixed, g + o, beta);
    zero_kernel(op::linear_backward_weight, n, l.query, l.in, g + q, beta);
    zero_kernel(op::linear_backward_weight, n, l.key, l.in, g + k, beta);
    zero_kernel(op::linear_backward_weight, n, l.value, l.in, g + v, beta);
    zero_kernel(op::add_tiles, n, g, l.before.partial, nullptr, beta);
    zero_kernel(op::barrier, 0, nullptr, nullptr, nullptr, 0);
  }

  std::array<block, L> blocks_{};
  norm last_{};
  T const* w_;
  float *g_, *out_, *logits_, *d_branch_, *d_stream_, *d_mixed_, *d_activated_;
  void *normed_, *d_logits_;
  double* loss_;
  float const *cos_, *sin_;
};

}  // namespace zero
