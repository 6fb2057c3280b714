#pragma once
#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <tenon/tenon.hpp>

namespace zero {

namespace tn = tenon;
namespace nn = tenon::nn;

/// The forward and backward pass of an untied deepseek_llm without layers, combinators, store or leases: the executor's
/// operations called one after the other on plain pointers, as someone writes it who has this one model. On one thread, so
/// there are no barriers.
template <auto const& R>
class by_hand {
  static constexpr int V = R.model.vocab, H = R.model.hidden, L = R.model.layers, A = R.model.heads, K = R.model.kv(), F = R.model.intermediate, D = H / A, W = K * D;
  static constexpr std::int64_t n = R.batch.micro.count * R.batch.sequence.count;
  static constexpr float epsilon = float(R.model.norm_eps.get());
  static_assert(!R.model.tied.get());
  template <int Out, int In, nn::role Role = nn::role::hidden>
  using matrix = nn::weight<float, Out, In, Role, nn::initializer::normal, 2>;
  template <int Out, int In, nn::role Role = nn::role::hidden>
  using sink = nn::gradient<Out, In, Role, nn::initializer::normal, 2>;
  using scale = nn::weight<float, 1, H, nn::role::norm, nn::initializer::ones, 1>;
  using scale_sink = nn::gradient<1, H, nn::role::norm, nn::initializer::ones, 1>;
  template <int Width>
  using rows = nn::rows<float, Width>;

  struct norm {
    scale w;
    scale_sink g;
    rows<1> inverse;
    nn::per_tile<float, H> partial;
  };
  struct block {
    norm before, middle;
    matrix<H, H> q, o;
    matrix<W, H> k, v;
    matrix<F, H> gate, up;
    matrix<H, F> down;
    sink<H, H> g_q, g_o;
    sink<W, H> g_k, g_v;
    sink<F, H> g_gate, g_up;
    sink<H, F> g_down;
    rows<H> stream, in, query, mixed, d_mixed_out, between, in2, d_out2;
    rows<W> key, value;
    rows<A> log_sum_exp;
    rows<F> gated, raised, activated;
  };

 public:
  template <class Engine>
  explicit by_hand(Engine const& engine) : memory_(std::int64_t{64} << 20) {
    auto const bind = [&](auto& w, auto& g, std::string const& name) {
      for (auto const& p : engine.places())
        if (p.name == name) return void((w.data = engine.master() + p.offset, g.data = engine.gradient() + p.offset, g.beta = 0));
      throw std::runtime_error("the model has no parameter '" + name + "'");
    };
    float* next = memory_.template as<float>();
    auto const room = [&](auto& r) {
      r.data = next;
      next += (n * std::remove_reference_t<decltype(r)>::width + 15) / 16 * 16;
    };
    auto const bind_norm = [&](norm& m, std::string const& name) {
      bind(m.w, m.g, name);
      room(m.inverse);
      m.partial.data = next, next += nn::num_row_tiles(n) * H;
    };
    for (int i = 0; i < L; ++i) {
      auto& b = blocks_[std::size_t(i)];
      std::string const at = "model.layers." + std::to_string(i) + ".";
      bind_norm(b.before, at + "input_layernorm.weight"), bind_norm(b.middle, at + "post_attention_layernorm.weight");
      bind(b.q, b.g_q, at + "self_attn.q_proj.weight"), bind(b.k, b.g_k, at + "self_attn.k_proj.weight");
      bind(b.v, b.g_v, at + "self_attn.v_proj.weight"), bind(b.o, b.g_o, at + "self_attn.o_proj.weight");
      bind(b.gate, b.g_gate, at + "mlp.gate_proj.weight"), bind(b.up, b.g_up, at + "mlp.up_proj.weight");
      bind(b.down, b.g_down, at + "mlp.down_proj.weight");
      room(b.stream), room(b.in), room(b.query), room(b.mixed), room(b.d_mixed_out), room(b.between), room(b.in2), room(b.d_out2);
      room(b.key), room(b.value), room(b.log_sum_exp), room(b.gated), room(b.raised), room(b.activated);
    }
    bind(table_, g_table_, "model.embed_tokens.weight"), bind(head_, g_head_, "lm_head.weight"), bind_norm(last_, "model.norm.weight");
    room(out_), room(normed_), room(d_branch_), room(d_stream_), room(d_mixed_), room(d_activated_), room(logits_);
    if (next > memory_.template as<float>() + memory_.bytes() / 4) throw std::runtime_error("this model is too large for the comparison");
  }

  /// One micro-batch forward and backward; adds to `loss`.
  template <class X>
  void forward_backward(X& x, nn::micro_batch const& b, float seed, nn::per_tile<double, 1> loss) const {
    x.embedding(b, table_, blocks_[0].stream);
    for (int i = 0; i < L; ++i) {
      auto const& l = blocks_[std::size_t(i)];
      auto const out = i + 1 < L ? blocks_[std::size_t(i) + 1].stream : out_;
      x.rmsnorm(n, l.stream, l.before.w, l.in, l.before.inverse, epsilon);
      x.copy(n, l.stream, l.between);
      x.linear(n, l.in, l.q, l.query), x.linear(n, l.in, l.k, l.key), x.linear(n, l.in, l.v, l.value);
      x.template rotary<D>(b, l.query, +1), x.template rotary<D>(b, l.key, +1);
      x.template attention<A, K>(b, l.query, l.key, l.value, l.mixed, l.log_sum_exp);
      x.linear_add(n, l.mixed, l.o, l.between);
      x.rmsnorm(n, l.between, l.middle.w, l.in2, l.middle.inverse, epsilon);
      x.copy(n, l.between, out);
      x.linear(n, l.in2, l.gate, l.gated), x.linear(n, l.in2, l.up, l.raised);
      x.swiglu(n, l.gated, l.raised, l.activated);
      x.linear_add(n, l.activated, l.down, out);
    }
    x.rmsnorm(n, out_, last_.w, normed_, last_.inverse, epsilon);
    x.linear(n, normed_, head_, logits_);
    x.cross_entropy_gradient(n, logits_, b.targets, seed, logits_, loss);
    x.linear_backward_input(n, logits_, head_, d_branch_, 0.f);
    x.linear_backward_weight(n, logits_, normed_, g_head_);
    x.zero(n, d_stream_);
    x.rmsnorm_backward(n, out_, last_.w, last_.inverse, d_branch_, d_stream_, last_.partial);
    x.add_tiles(n, last_.g, last_.partial);
    for (int i = L - 1; i >= 0; --i) back(x, b, blocks_[std::size_t(i)]);
    x.embedding_backward(b, d_stream_, g_table_);
  }

 private:
  template <class X>
  void back(X& x, nn::micro_batch const& b, block const& l) const {
    x.convert(n, d_stream_, l.d_out2);
    x.linear_backward_input(n, l.d_out2, l.down, d_activated_, 0.f);
    x.swiglu_backward(n, d_activated_, l.gated, l.raised);
    x.linear_backward_input(n, l.gated, l.gate, d_branch_, 0.f), x.linear_backward_input(n, l.raised, l.up, d_branch_, 1.f);
    x.rmsnorm_backward(n, l.between, l.middle.w, l.middle.inverse, d_branch_, d_stream_, l.middle.partial);
    x.convert(n, d_stream_, l.d_mixed_out);
    x.linear_backward_input(n, l.d_mixed_out, l.o, d_mixed_, 0.f);
    x.template attention_backward<A, K>(b, l.query, l.key, l.value, l.mixed, l.log_sum_exp, d_mixed_);
    x.template rotary<D>(b, l.query, -1), x.template rotary<D>(b, l.key, -1);
    x.linear_backward_input(n, l.query, l.q, d_branch_, 0.f);
    x.linear_backward_input(n, l.key, l.k, d_branch_, 1.f), x.linear_backward_input(n, l.value, l.v, d_branch_, 1.f);
    x.rmsnorm_backward(n, l.stream, l.before.w, l.before.inverse, d_branch_, d_stream_, l.before.partial);
    x.linear_backward_weight(n, l.d_out2, l.activated, l.g_down);
    x.linear_backward_weight(n, l.gated, l.in2, l.g_gate), x.linear_backward_weight(n, l.raised, l.in2, l.g_up);
    x.add_tiles(n, l.middle.g, l.middle.partial);
    x.linear_backward_weight(n, l.d_mixed_out, l.mixed, l.g_o), x.linear_backward_weight(n, l.query, l.in, l.g_q);
    x.linear_backward_weight(n, l.key, l.in, l.g_k), x.linear_backward_weight(n, l.value, l.in, l.g_v);
    x.add_tiles(n, l.before.g, l.before.partial);
  }

  tn::exec::buffer memory_;
  std::array<block, L> blocks_{};
  matrix<V, H, nn::role::embedding> table_, head_;
  sink<V, H, nn::role::embedding> g_table_, g_head_;
  norm last_;
  rows<H> out_, normed_, d_branch_, d_stream_, d_mixed_;
  rows<F> d_activated_;
  rows<V> logits_;
};

}  // namespace zero
