#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tenon/core/philox.hpp"
#include "tenon/exec/buffer.hpp"
#include "tenon/exec/cpu/executor.hpp"
#include "tenon/nn/contract.hpp"
#include "tenon/nn/layout.hpp"

namespace tenon {

/// How `check_gradients` goes about it.
struct gradient_check_options {
  std::uint64_t seed = 1;
  std::int64_t samples = 2, sequence = 17;  ///< rows that no tile divides
  int directions = 3;                       ///< per tensor
  double tolerance = 5e-3;                  ///< of a tensor's gradient norm; a kink costs differences a few thousandths
};

namespace exec {

/// A layer (which adds to the stream) or a block (from one stream to the next) with memory of its own, on a team.
template <class Layer>
class gradient_bench {
  static constexpr int width = Layer::width;
  static constexpr bool is_block = nn::stackable<Layer>;
  using saved_type = typename Layer::template saved<float>;

 public:
  gradient_bench(gradient_check_options const& o, int members)
      : o_(o), team_(members), rows_(o.samples * o.sequence), size_(nn::padded_parameters<Layer>()) {
    nn::described_params<Layer> d{};
    nn::for_each_leaf(d, [&](auto const& p) { widest_ = std::max<std::int64_t>({widest_, p.num_rows, p.num_cols}); });
    stride_ = nn::align_up(std::max(linear_workspace(widest_, widest_), attention_workspace(o.sequence, width)), 16);
    own_.resize(std::size_t(stride_ * members));
    shared_.resize(std::size_t(product_workspace(std::max(rows_, widest_), std::max(rows_, widest_), true)));
    room_ = buffer(nn::activation_bytes<saved_type>(rows_, members) +
                   nn::activation_bytes<typename Layer::scratch>(rows_, members) + 64);
    scratch_at_ = nn::bind_activations(saved_, room_.data(), rows_, members);
    nn::bind_activations(scratch_, scratch_at_, rows_, members);
    draw_values();
  }

  std::vector<float> values, input;      ///< parameters in one flat buffer; [rows, width]
  std::vector<float> gradient, d_input;  ///< after backward()
  std::vector<float> output, direction;  ///< after forward(); the output's gradient

  /// Sum of output * direction.
  double forward(nn::mode m = nn::mode::train) {
    output = base_;
    run([&](auto& x) {
      typename Layer::template params<nn::weights<float>> p{};
      nn::bind_parameters(p, static_cast<float const*>(values.data()));
      m == nn::mode::train ? forward_as<nn::mode::train>(x, p) : forward_as<nn::mode::recompute>(x, p);
    });
    double sum = 0;
    for (std::size_t i = 0; i < output.size(); ++i) sum += double(output[i]) * direction[i];
    return sum;
  }
  /// Both halves; between them scratch is spoilt, which means nothing after a call.
  void backward(float beta) {
    d_input = is_block ? direction : std::vector<float>(input.size(), not_a_number);
    auto d_stream = direction;
    run([&](auto& x) {
      typename Layer::template params<nn::weights<float>> p{};
      nn::bind_parameters(p, static_cast<float const*>(values.data()));
      nn::rows<float, width> const d_in{d_input.data()};
      if constexpr (is_block)
        Layer::backward_input(x, batch(), p, saved_, scratch_, nn::rows<float, width>{input.data()}, d_in);
      else
        Layer::backward_input(x, batch(), p, saved_, scratch_, nn::rows<float, width>{d_stream.data()}, d_in);
    });
    spoil(scratch_at_, room_.data() + room_.bytes());
    run([&](auto& x) {
      typename Layer::template params<nn::gradients> g{};
      nn::bind_parameters(g, gradient.data());
      nn::for_each_leaf(g, [&](auto& sink) { sink.beta = beta; });
      Layer::backward_weight(x, batch(), g, saved_);
    });
  }
  void spoil_all() {
    spoil(room_.data(), room_.data() + room_.bytes());
    gradient.assign(std::size_t(size_), not_a_number);
  }

 private:
  static constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

  void draw_values() {
    auto const draw = [&](char const* name, std::vector<float>& to, std::size_t n) {
      random_stream const random(o_.seed, name);
      to.resize(n);
      for (std::size_t i = 0; i < n; ++i) to[i] = float(random.normal(i));
    };
    draw("input", input, std::size_t(rows_ * width)), draw("base", base_, input.size());
    draw("direction", direction, input.size()), draw("values", values, std::size_t(size_));
    std::int64_t at = 0;  // matrices keep the size of what goes through, vectors stay near one
    nn::described_params<Layer> d{};
    nn::for_each_leaf(d, [&](auto const& p) {
      bool const gradient_free = p.parameter_role == nn::role::router_bias;
      for (std::int64_t i = at; i < at + p.size; ++i) {
        auto& v = values[std::size_t(i)];
        v = gradient_free ? 0.f : p.rank == 1 ? 1 + 0.3f * v : v / std::sqrt(float(p.num_cols));
      }
      at += nn::align_up(p.size, nn::alignment / 4);
    });
    random_stream const random(o_.seed, "angles");
    for (std::int64_t i = 0; i < o_.sequence * width;
         ++i) {  // any angles will do: a rotation's transpose is its inverse
      auto const angle = float(6.28 * random.uniform(std::uint64_t(i)));
      cos_.push_back(std::cos(angle)), sin_.push_back(std::sin(angle));
    }
    for (std::int64_t r = 0; r < rows_; ++r) {  // two documents in each sample
      auto const at_row = r % o_.sequence, start = at_row < o_.sequence / 3 ? 0 : o_.sequence / 3;
      positions_.push_back(std::int32_t(at_row - start)), start_.push_back(std::int32_t(start));
    }
  }
  nn::micro_batch batch() const {
    return {.samples = o_.samples,
            .sequence = o_.sequence,
            .positions = positions_.data(),
            .document_start = start_.data(),
            .rotary_cos = cos_.data(),
            .rotary_sin = sin_.data()};
  }
  template <nn::mode M>
  void forward_as(auto& x, auto const& p) {
    nn::rows<float, width> const out{output.data()};
    if constexpr (is_block) {
      Layer::template forward<M>(x, batch(), p, saved_, nn::rows<float, width>{input.data()}, out);
    } else {
      x.copy(rows_, nn::rows<float, width>{input.data()}, saved_.dw.in);
      Layer::template forward<M>(x, batch(), p, saved_, out);
    }
  }
  template <class F>
  void run(F&& f) {
    auto region = [&](int member) {
      cpu::executor<float> x(team_, member, own_.data() + member * stride_, shared_.data());
      f(x);
    };
    team_.run(region);
  }
  static void spoil(std::byte* from, std::byte* to) {
    std::fill(reinterpret_cast<float*>(from), reinterpret_cast<float*>(to), not_a_number);
  }

  gradient_check_options o_;
  cpu::team team_;
  std::int64_t rows_, size_, widest_ = width, stride_ = 0;
  std::vector<float> own_, shared_, base_, cos_, sin_;
  std::vector<std::int32_t> positions_, start_;
  buffer room_;
  std::byte* scratch_at_ = nullptr;
  saved_type saved_{};
  typename Layer::scratch scratch_{};
};

}  // namespace exec
}  // namespace tenon
