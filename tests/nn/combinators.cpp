#include "support/test.hpp"

#include "tenon/exec/count/executor.hpp"
#include "tenon/exec/gradient_check.hpp"
#include "tenon/nn/attention.hpp"
#include "tenon/nn/chain.hpp"
#include "tenon/nn/decoder_block.hpp"
#include "tenon/nn/parallel.hpp"
#include "tenon/nn/rmsnorm.hpp"
#include "tenon/nn/swiglu.hpp"

using namespace tenon;

namespace {

constexpr int hidden = 24;
using norm = nn::rmsnorm<hidden, nn::bits(1e-6)>;
using attention = nn::attention<hidden, 4, 2>;
using feed_forward = nn::swiglu<hidden, 40>;

template <class F>
struct decoder_names {
  norm::params<F> input_layernorm;
  attention::params<F> self_attn;
  norm::params<F> post_attention_layernorm;
  feed_forward::params<F> mlp;
};
using written_out = nn::decoder_block<norm, attention, feed_forward>;
using chained = nn::chain<decoder_names, nn::residual<norm, attention>, nn::residual<norm, feed_forward>>;

// [combined]
template <class F>
struct side_names {
  attention::params<F> attn;
  feed_forward::params<F> mlp;
};
using side_by_side = nn::parallel<side_names, attention, feed_forward>;
template <class F>
struct block_names {
  norm::params<F> norm_1;
  side_by_side::params<F> both;
  norm::params<F> norm_2;
  feed_forward::params<F> second;
};
using block = nn::chain<block_names, nn::residual<norm, side_by_side>, nn::residual<norm, feed_forward>>;
// [combined]

static_assert(nn::layer<attention> && nn::layer<feed_forward> && nn::layer<side_by_side>);
static_assert(nn::stackable<written_out> && nn::stackable<chained> && nn::stackable<block>);
static_assert(!nn::layer<written_out> && !nn::stackable<attention> && !nn::layer<norm> && !nn::stackable<norm>);

/// Work and memory of a block, on paper.
template <class Block>
constexpr auto on_paper() {
  exec::count::executor<float> x;
  typename Block::template params<nn::weights<float>> const p{};
  typename Block::template saved<float> const s{};
  typename Block::scratch const t{};
  nn::micro_batch const b{.samples = 2, .sequence = 32};
  nn::rows<float, hidden> const stream{};
  Block::template forward<nn::mode::train>(x, b, p, s, stream, stream);
  Block::backward_input(x, b, p, s, t, stream, stream);
  Block::backward_weight(x, b, typename Block::template params<nn::gradients>{}, s);
  return std::array{x.gemm_flops, nn::activation_bytes<typename Block::template saved<float>>(64, 2), nn::activation_bytes<typename Block::scratch>(64, 2),
                    nn::padded_parameters<Block>()};
}
static_assert(on_paper<chained>() == on_paper<written_out>());

}  // namespace

TEST("a chain of two residual branches is decoder_block, bit for bit and name for name") {
  auto const a = check_gradients<written_out>({.seed = 3}), b = check_gradients<chained>({.seed = 3});
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    EXPECT_EQ(a.tensors[i].name, b.tensors[i].name);
    EXPECT_EQ(a.tensors[i].gradient, b.tensors[i].gradient);
  }
}

TEST("gradients of chains and of layers side by side") {
  EXPECT_EQ(check_gradients<side_by_side>().complaint(), "");
  EXPECT_EQ(check_gradients<block>().complaint(), "");
}

TEST("layers side by side keep their input once") {
  auto const bytes = [](auto s) { return nn::activation_bytes<decltype(s)>(64, 1); };
  EXPECT_EQ(bytes(side_by_side::saved<float>{}), bytes(attention::saved<float>{}) + bytes(feed_forward::saved<float>{}) - 64 * hidden * 4);
}
