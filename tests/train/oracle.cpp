// The whole step against LibTorch: its autograd and AdamW written out, in fp64; and what an overflow does to fp16.
#include <cmath>
#include <limits>

#include "support/reference_model.hpp"
#include "support/test.hpp"
#include "train/tiny.hpp"

using namespace tenon;
using namespace tenon::literals;

namespace {

constexpr auto unclipped = tiny::fp32.edit([](auto& r) { r.optimizer.clip = 0; });
constexpr auto clipped = tiny::fp32.edit([](auto& r) { r.optimizer.clip = 0.1; });

at::Tensor ids(std::vector<std::int32_t> const& v) {
  return at::from_blob(const_cast<std::int32_t*>(v.data()), {std::int64_t(v.size())}, at::kInt).to(at::kLong);
}

/// Loss of each step of a run that starts at the trainer's weights; autograd over the whole batch, clipping and AdamW
/// by hand.
template <class Trainer>
std::vector<double> reference_losses(Trainer& t, std::int64_t num_steps, std::map<std::string, at::Tensor>& weights,
                                     std::vector<double>& norms) {
  auto const& r = t.recipe();
  std::map<std::string, std::pair<at::Tensor, at::Tensor>> moments;
  std::map<std::string, bool> decays;
  for (auto const& p : t.engine().places()) {
    auto w = at::from_blob(t.engine().master() + p.offset,
                           p.rank == 1 ? std::vector<std::int64_t>{p.cols} : std::vector<std::int64_t>{p.rows, p.cols},
                           at::kFloat);
    weights[p.name] = w.to(at::kDouble).clone().requires_grad_(true);
    moments[p.name] = {at::zeros_like(weights[p.name]), at::zeros_like(weights[p.name])};
    decays[p.name] = p.name.find("norm") == std::string::npos;
  }
  std::vector<double> losses;
  auto const& o = r.optimizer;
  for (std::int64_t step = 0; step < num_steps; ++step) {
    auto const b = tiny::batch_at({0, 0, 4 * step});
    auto const out = reference::logits(weights, {2, 4, 2, false}, ids(b.tokens), ids(b.positions),
                                       ids(b.document_start), b.samples, b.sequence);
    auto const loss = at::cross_entropy_loss(out, ids(b.targets), {}, /*reduction: mean over targets*/ 1, -1);
    loss.backward();
    losses.push_back(loss.template item<double>());
    double squares = 0;
    for (auto& [name, w] : weights) squares += w.grad().pow(2).sum().template item<double>();
    norms.push_back(std::sqrt(squares));
    double const clip = o.clip > 0 ? std::min(1.0, o.clip / (norms.back() + 1e-6)) : 1.0;
    double const rate = r.schedule.at(steps{step}, t.total(), tokens_per_step(r.batch));
    for (auto& [name, w] : weights) {
      auto& [m, v] = moments[name];
      auto const g = w.grad() * clip;
      m = m * o.beta1 + g * (1 - o.beta1);
      v = v * o.beta2 + g * g * (1 - o.beta2);
      auto const denominator = (v / (1 - std::pow(o.beta2, double(step + 1)))).sqrt() + o.epsilon;
      auto next = w.detach() * (1 - rate * (decays[name] ? o.weight_decay : 0.0)) -
                  m / (1 - std::pow(o.beta1, double(step + 1))) / denominator * rate;
      w = next.requires_grad_(true);
    }
  }
  return losses;
}

template <auto const& R>
void follows_autograd(int members) {
  train::trainer<R> t(R, members, 20_steps);
  std::map<std::string, at::Tensor> weights;
  std::vector<double> norms;
  auto const expected = reference_losses(t, 20, weights, norms);
  auto const reports = tiny::run(t, 20);
  double worst = 0;
  for (std::size_t i = 0; i < 20; ++i) {
    DOCTEST_INFO("step " << i + 1 << ": loss " << reports[i].loss << ", expected " << expected[i]);
    worst = std::fmax(worst, std::abs(reports[i].loss - expected[i]));
    EXPECT_NEAR(reports[i].loss, expected[i], 1e-5);
    EXPECT_NEAR(reports[i].gradient_norm, norms[i], 1e-4 * norms[i]);
  }
  DOCTEST_INFO("worst difference of a loss " << worst);
  EXPECT(std::abs(expected[19] - expected[0]) > 0.1);  // something was learnt
  for (auto const& p : t.engine().places()) {
    auto const w = weights[p.name].detach().contiguous();
    double difference = 0, norm = 0;
    for (std::int64_t i = 0; i < p.size(); ++i) {
      double const want = w.template const_data_ptr<double>()[i], have = t.engine().master()[p.offset + i];
      difference += (want - have) * (want - have), norm += want * want;
    }
    DOCTEST_INFO(p.name << " after 20 steps: " << std::sqrt(difference / norm));
    EXPECT(std::sqrt(difference / norm) <= 1e-4);  // AdamW turns rounding of tiny gradients into whole steps
  }
}

constexpr auto overflowing =
    tiny::fp16.edit([](auto& r) { r.precision.initial_scale = 0x1p40, r.precision.growth_interval = 2000; });
constexpr auto calm =
    tiny::fp16.edit([](auto& r) { r.precision.initial_scale = 256, r.precision.growth_interval = 2000; });

}  // namespace

TEST("20 steps follow LibTorch's autograd and AdamW in fp64: each loss within 1e-5") {
  SUBCASE("no clipping, two members") { follows_autograd<unclipped>(2); }
  SUBCASE("no clipping, one member") { follows_autograd<unclipped>(1); }
  SUBCASE("clipped at a tenth") { follows_autograd<clipped>(2); }
}

TEST("16-bit runs follow the fp32 run") {
  train::trainer<tiny::fp32> a(tiny::fp32, 2, 20_steps);
  train::trainer<tiny::bf16> b(tiny::bf16, 2, 20_steps);
  train::trainer<tiny::fp16> c(tiny::fp16, 2, 20_steps);
  auto const full = tiny::run(a, 20), brain = tiny::run(b, 20), half = tiny::run(c, 20);
  for (std::size_t i = 0; i < 20; ++i) {
    DOCTEST_INFO("step " << i + 1 << ": " << full[i].loss << ", bf16 " << brain[i].loss << ", fp16 " << half[i].loss);
    EXPECT_NEAR(brain[i].loss, full[i].loss, 1e-2);
    EXPECT_NEAR(half[i].loss, full[i].loss, 2e-3);
    EXPECT(!half[i].skipped);
  }
  EXPECT_EQ(c.loss_scale(), 1024.0 * 32);  // 20 good steps, growth every 4
}

TEST(
    "an overflow skips the step and halves the scale; the steps that remain are those of a run that never overflowed") {
  train::trainer<overflowing> t(overflowing, 2, 20_steps);
  auto const start = tiny::state_of(t);
  double scale = 0x1p40;
  std::int64_t skipped = 0;
  for (; skipped < 40; ++skipped) {
    auto const report = train::step(t, tiny::batch_at({0, 0, 0}));
    if (!report.skipped) break;
    scale /= 2;
    EXPECT_EQ(t.loss_scale(), scale);
    EXPECT_EQ(t.scaler().skipped, skipped + 1);
    EXPECT_EQ(t.scaler().good_steps, 0);
    EXPECT_EQ(t.optimizer_state().updates, 0);
    EXPECT_EQ(t.progress().step, skipped + 1);
    EXPECT(std::isfinite(report.loss));
    for (auto const& [name, bytes] : tiny::state_of(t))  // no weight and no moment moved
      if (name.rfind("loss_scale", 0) != 0 && name.rfind("progress", 0) != 0 && name.rfind("cursor", 0) != 0)
        EXPECT((bytes == start.at(name)));
  }
  EXPECT(skipped > 5);
  EXPECT(skipped < 35);
  EXPECT_EQ(t.optimizer_state().updates, 1);
  EXPECT_EQ(t.scaler().good_steps, 1);
}

TEST("the scale is a factor that cancels: loss, norm and weights do not depend on it beyond fp16's rounding") {
  train::trainer<calm> a(calm, 2, 20_steps);
  train::trainer<tiny::fp16> b(tiny::fp16, 2, 20_steps);
  auto const one = tiny::run(a, 10), two = tiny::run(b, 10);
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_NEAR(one[i].gradient_norm, two[i].gradient_norm, 1e-2 * two[i].gradient_norm);
    EXPECT_NEAR(one[i].loss, two[i].loss, 1e-3);
  }
}

TEST("a gradient that is not finite stops the run with a sentence and leaves the weights alone") {
  SUBCASE("fp32: at once") {
    train::trainer<tiny::fp32> t(tiny::fp32, 2, 20_steps);
    tiny::run(t, 2);
    t.engine().master()[t.engine().places().front().offset + tiny::batch_at(t.progress().cursor).tokens[0] * 32] =
        std::numeric_limits<float>::infinity();
    std::vector<float> const before(t.engine().master(), t.engine().master() + t.engine().size());
    EXPECT_THROWS_WITH(tiny::run(t, 1), "the gradient of step 3 is not finite");
    EXPECT(std::memcmp(before.data(), t.engine().master(), before.size() * 4) == 0);
    EXPECT_EQ(t.progress().step, 2);
  }
  SUBCASE("fp16: when no loss scale helps") {
    train::trainer<tiny::fp16> t(tiny::fp16, 2, 20_steps);
    t.engine().master()[t.engine().places().front().offset + tiny::batch_at(t.progress().cursor).tokens[0] * 32] =
        std::numeric_limits<float>::quiet_NaN();
    t.engine().refresh_copy();
    EXPECT_THROWS_WITH(tiny::run(t, 200), "not finite");
  }
}
