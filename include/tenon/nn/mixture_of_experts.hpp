#pragma once
#include "tenon/nn/layout.hpp"
#include "tenon/nn/routing.hpp"
#include "tenon/nn/swiglu.hpp"

namespace tenon::nn {

/// Routed and shared experts (DeepSeekMoE, Dai et al. 2024, arXiv 2401.06066; DeepSeek-V2 and V3): each row takes the
/// weighted sum of the `Routing::chosen` experts that its router chose, and of `Shared` experts that every row goes to.
/// Experts are SwiGLU of width `Inner`; the shared ones lie on disk as one of width Shared * Inner.
///
/// Rows are copied into the order of their experts, so that each expert's product is over rows that lie together.
/// The buffers hold rows x chosen exactly: however the router decides, every row has its place and none is dropped.
/// The routing weight is multiplied in before the last projection, which is linear.
///
/// The router's bias (sigmoid gate) is state: in place of a gradient the step counts the rows of each expert, and
/// `end_of_step` moves the bias against them.
template <int Hidden, int Inner, int Shared, class Routing>
struct mixture_of_experts {
  static constexpr int width = Hidden, experts = Routing::experts, chosen = Routing::chosen;
  static_assert(Shared > 0, "[tenon.shared_experts] the experts have no shared one beside them, and the layer's stream is written by it "
                "first. Give Shared = 1 or more");
  using shared_layer = swiglu<Hidden, Shared * Inner>;
  using offsets = block<std::int32_t, 1, experts + 1>;  ///< first sorted row of each expert, and the end

  template <class F>
  struct plain_gate {
    typename F::template matrix<experts, Hidden, role::hidden, initializer::normal> weight;
  };
  template <class F>
  struct biased_gate {
    typename F::template matrix<experts, Hidden, role::hidden, initializer::normal> weight;
    typename F::template vector_state<experts> e_score_correction_bias;
  };
  template <class F>
  struct each_expert {
    static constexpr int copies = experts;
    typename swiglu<Hidden, Inner, role::hidden>::template params<F>::expand gate_proj, up_proj;
    typename swiglu<Hidden, Inner, role::hidden>::template params<F>::contract down_proj;
  };
  template <class F>
  struct params {
    std::conditional_t<Routing::biased, biased_gate<F>, plain_gate<F>> gate;
    each_expert<F> experts;
    typename shared_layer::template params<F> shared_experts;
  };
  /// Elements from one expert's tensor to the next expert's.
  static constexpr std::int64_t stride = padded_size<each_expert<described>>() / experts;

  /// Where the rows go: recomputing must not decide it anew.
  template <class T>
  struct kept {
    rows<std::int32_t, chosen> experts;
  };
  template <class T>
  struct saved_dx {
    rows<float, experts> scores;
    rows<float, chosen> weight;          ///< of the chosen experts
    rows<std::int32_t, chosen> slot;     ///< sorted row of (row, choice)
    rows<std::int32_t, chosen> source;   ///< (row * chosen + choice) of a sorted row
    offsets first;
    rows<T, chosen * Inner> gate, up;    ///< sorted; hold their own gradients once `backward_input` has used them
    typename shared_layer::template saved_dx<T> shared;
  };
  template <class T>
  struct saved_dw {
    rows<T, Hidden> in;
    rows<T, Shared * Inner> shared_activated;
    backward_only<rows<T, Hidden>> d_out;
    rows<T, chosen * Hidden> sorted_in;
    backward_only<rows<T, chosen * Hidden>> sorted_d_out;
    rows<T, chosen * Inner> activated;  ///< weight * silu(gate) * up
    backward_only<rows<T, experts>> d_logits;
  };
  template <class T>
  struct saved {
    saved_dx<T> dx;
    saved_dw<T> dw;
    kept<T> decisions;
  };
  struct scratch {
    rows<float, chosen * Inner> d_activated;
    rows<float, chosen> d_weight;
    rows<float, experts> coefficient;  ///< of the balance losses, one row for each sample
    typename shared_layer::scratch shared;
  };

  /// stream += y; `in` is saved.dw.in, written by the norm before.
  template <mode M, class X, class W, class T>
  static constexpr void forward(X& x, micro_batch const& b, params<W> const& p, saved<T> const& s,
                                rows<float, Hidden> stream) {
    auto const n = b.num_rows(), sorted = n * chosen;
    rows<T, Inner> const gate{s.dx.gate.data}, up{s.dx.up.data}, activated{s.dw.activated.data};
    rows<T, Hidden> const sorted_in{s.dw.sorted_in.data};
    x.linear(n, s.dw.in, p.gate.weight, s.dx.scores);
    x.template route<Routing>(n, s.dx.scores, bias(p), s.decisions.experts, s.dx.weight, M != mode::recompute);
    x.template sort_by_expert<Routing>(n, s.decisions.experts, s.dx.slot, s.dx.source, s.dx.first);
    x.template spread<chosen>(n, s.dw.in, s.dx.slot, sorted_in);
    x.expert_linear(sorted, s.dx.first, sorted_in, stack{p.experts.gate_proj.weight, stride}, gate);
    x.expert_linear(sorted, s.dx.first, sorted_in, stack{p.experts.up_proj.weight, stride}, up);
    x.template expert_swiglu<chosen>(sorted, gate, up, s.dx.source, s.dx.weight, activated);
    x.template expert_linear_add<chosen>(sorted, s.dx.first, s.dx.source, activated,
                                         stack{p.experts.down_proj.weight, stride}, stream);
    shared_layer::template forward<M>(x, b, p.shared_experts, shared_saved(s), stream);
  }

  /// d_in = gradient with respect to `in`, given that of the stream.
  template <class X, class W, class T>
  static constexpr void backward_input(X& x, micro_batch const& b, params<W> const& p, saved<T> const& s,
                                       scratch const& t, rows<float, Hidden> d_stream, rows<float, Hidden> d_in) {
    auto const n = b.num_rows(), sorted = n * chosen;
    rows<T, Inner> const gate{s.dx.gate.data}, up{s.dx.up.data};
    rows<float, Inner> const d_activated{t.d_activated.data};
    rows<T, Hidden> const sorted_d_out{s.dw.sorted_d_out.data};
    shared_layer::backward_input(x, b, p.shared_experts, shared_saved(s), t.shared, d_stream, d_in);  // fills d_out
    x.template spread<chosen>(n, rows<T, Hidden>{s.dw.d_out.data}, s.dx.slot, sorted_d_out);
    x.expert_linear_backward_input(sorted, s.dx.first, sorted_d_out, stack{p.experts.down_proj.weight, stride},
                                   d_activated);
    x.template expert_swiglu_backward<chosen>(sorted, d_activated, gate, up, s.dx.source, s.dx.weight, t.d_weight);
    x.template expert_linear_backward_input_add<chosen>(sorted, s.dx.first, s.dx.source, gate,
                                                        stack{p.experts.gate_proj.weight, stride}, d_in);
    x.template expert_linear_backward_input_add<chosen>(sorted, s.dx.first, s.dx.source, up,
                                                        stack{p.experts.up_proj.weight, stride}, d_in);
    if (b.balance_seed != 0) x.template balance<Routing>(b, s.dx.scores, s.decisions.experts, t.coefficient);
    rows<T, experts> const d_logits{s.dw.d_logits.data};
    x.template route_backward<Routing>(b, s.dx.scores, s.decisions.experts, t.d_weight, t.coefficient, d_logits);
    x.linear_backward_input(n, d_logits, p.gate.weight, d_in, 1.f);
  }

  template <class X, class G, class T>
  static constexpr void backward_weight(X& x, micro_batch const& b, params<G> const& g, saved<T> const& s) {
    auto const n = b.num_rows(), sorted = n * chosen;
    rows<T, Inner> const gate{s.dx.gate.data}, up{s.dx.up.data}, activated{s.dw.activated.data};
    rows<T, Hidden> const sorted_in{s.dw.sorted_in.data}, sorted_d_out{s.dw.sorted_d_out.data};
    shared_layer::backward_weight(x, b, g.shared_experts, shared_saved(s));
    x.linear_backward_weight(n, rows<T, experts>{s.dw.d_logits.data}, s.dw.in, g.gate.weight);
    x.expert_linear_backward_weight(sorted, s.dx.first, sorted_d_out, activated,
                                    stack{g.experts.down_proj.weight, stride});
    x.expert_linear_backward_weight(sorted, s.dx.first, gate, sorted_in, stack{g.experts.gate_proj.weight, stride});
    x.expert_linear_backward_weight(sorted, s.dx.first, up, sorted_in, stack{g.experts.up_proj.weight, stride});
    if constexpr (Routing::biased) x.count_rows(s.dx.first, g.gate.e_score_correction_bias);
  }

  /// The bias of experts with fewer rows than the mean rises by `rate`, that of others falls. `centred` takes the mean
  /// of these moves away from each, so that the biases keep their sum. Wang et al. 2024 (arXiv 2408.15664) and
  /// DeepSeek-V3 do the first, torchtitan the second. On one member; the caller puts barriers around.
  template <class X, class W, class G>
  static constexpr void end_of_step(X& x, params<W> const& p, params<G> const& g,
                                    bias_rule const& rule) {
    if constexpr (Routing::biased)
      x.rows(1, [&](std::int64_t, std::int64_t) {
        float* const bias = p.gate.e_score_correction_bias.data;
        float const* const count = g.gate.e_score_correction_bias.data;
        double rows = 0;
        for (int e = 0; e < experts; ++e) rows += double(count[e]);
        auto const move = [&](int e) {
          double const over = double(count[e]) * experts - rows;
          return over < 0 ? rule.rate : over > 0 ? -rule.rate : 0.f;
        };
        float mean = 0;
        if (rule.centred)
          for (int e = 0; e < experts; ++e) mean += move(e) / experts;
        for (int e = 0; e < experts; ++e) bias[e] += move(e) - mean;
      });
  }

 private:
  template <class W>
  static constexpr float const* bias(params<W> const& p) {
    if constexpr (Routing::biased)
      return p.gate.e_score_correction_bias.data;
    else
      return nullptr;
  }
  /// The shared experts' memory: input and gradient of the output are the whole layer's.
  template <class T>
  static constexpr typename shared_layer::template saved<T> shared_saved(saved<T> const& s) {
    return {s.dx.shared, {s.dw.in, s.dw.shared_activated, s.dw.d_out}};
  }
};

}  // namespace tenon::nn
