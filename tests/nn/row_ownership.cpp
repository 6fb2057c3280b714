#include "support/executor_room.hpp"
#include "support/test.hpp"

#include <chrono>
#include <cmath>
#include <thread>
#include <vector>

#include "tenon/core/philox.hpp"
#include "tenon/exec/buffer.hpp"
#include "tenon/exec/cpu/executor.hpp"
#include "tenon/nn/language_head.hpp"
#include "tenon/nn/layout.hpp"
#include "tenon/nn/rmsnorm.hpp"

/// Members own rows, and which rows depends on how many there are. Where the number changes inside a layer, a slow member
/// must not find its rows overwritten.

using namespace tenon;

namespace {

constexpr int vocab = 29, hidden = 16;
using head = nn::language_head<vocab, hidden, nn::rmsnorm<hidden, nn::bits(1e-6)>>;

/// A member that arrives late at the loss.
struct late_at_loss : exec::cpu::executor<float> {
  explicit late_at_loss(executor x) : executor(x) {}
  template <int V>
  void cross_entropy(std::int64_t n, nn::rows<float, V> logits, std::int32_t const* targets, nn::per_tile<double, 1> loss) const {
    if (member() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    executor::cross_entropy(n, logits, targets, loss);
  }
  template <int V>
  void cross_entropy_gradient(std::int64_t n, nn::rows<float, V> logits, std::int32_t const* targets, float seed, nn::rows<float, V> d,
                              nn::per_tile<double, 1> loss) const {
    if (member() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    executor::cross_entropy_gradient(n, logits, targets, seed, d, loss);
  }
};

}  // namespace

TEST("the head's chunks: a shorter last chunk does not overwrite what a late member still reads") {
  std::int64_t const num_rows = head::chunk + 600;
  std::vector<float> values(std::size_t((num_rows + vocab) * hidden)), sink(std::size_t(vocab * hidden)), d_normed(std::size_t(num_rows * hidden));
  std::vector<std::int32_t> targets;
  random_stream const random(1, "head");
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = float(random.normal(i));
  for (std::int64_t i = 0; i < num_rows; ++i) targets.push_back(std::int32_t(i % (vocab + 1)) - 1);
  float const *const in = values.data(), *const w = in + num_rows * hidden;
  double expected = 0;
  for (std::int64_t i = 0; i < num_rows; ++i) {
    double sum = 0, chosen = 0;
    for (int v = 0; v < vocab; ++v) {
      double logit = 0;
      for (int h = 0; h < hidden; ++h) logit += double(in[i * hidden + h]) * w[v * hidden + h];
      sum += std::exp(logit);
      if (v == targets[std::size_t(i)]) chosen = logit;
    }
    if (targets[std::size_t(i)] >= 0) expected += std::log(sum) - chosen;
  }
  exec::buffer memory(nn::activation_bytes<head::saved<float>>(num_rows, 2));
  head::saved<float> saved{};
  nn::bind_activations(saved, memory.data(), num_rows, 2);
  std::copy_n(in, num_rows * hidden, saved.normed.data);
  head::matrix<nn::weights<float>> projection{};
  projection.data = w;
  exec::cpu::team team(2);
  executor_room room(2, num_rows, vocab);
  bool backward = false;
  SUBCASE("forward only") {}
  SUBCASE("with gradients") { backward = true; }
  auto region = [&](int member) {
    late_at_loss x(room.on<float>(team, member));
    nn::micro_batch b{.samples = 1, .sequence = num_rows};
    b.targets = targets.data();
    head::matrix<nn::gradients> g{};
    g.data = sink.data();
    if (backward) head::loss_and_gradient(x, b, projection, g, saved, 1.f, nn::rows<float, hidden>{d_normed.data()});
    else head::loss(x, b, projection, saved);
  };
  team.run(region);
  EXPECT_NEAR(nn::sum_of_tiles(saved.loss, num_rows), expected, 1e-5 * expected);
}
