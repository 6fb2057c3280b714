// Loss scaling against torch.amp.GradScaler and clipping against torch.nn.utils.clip_grad_norm_ (tests/golden).
#include <limits>
#include <numeric>

#include "golden/golden.hpp"
#include "support/test.hpp"
#include "tenon/optim/loss_scale.hpp"
#include "tenon/optim/norm.hpp"

using namespace tenon;

TEST("G1: loss scaling equals torch.amp.GradScaler exactly, step by step, overflows included") {
  golden const file("grad_scaler");
  int cases = 0;
  for (std::string const name : {"usual", "thirds", "every", "start", "ceiling", "floor"}) {
    DOCTEST_INFO(name);
    auto const settings = file.reals(name + ".settings"), scale = file.reals(name + ".scale");
    auto const overflows = file.integers(name + ".overflows"), tracker = file.integers(name + ".tracker");
    optim::loss_scale s{.scale = settings[0]};
    REQUIRE((!scale.empty() && scale.size() == overflows.size() && scale.size() == tracker.size()));
    for (std::size_t t = 0; t < scale.size(); ++t) {
      s.update(overflows[t] != 0, settings[1], settings[2], std::int64_t(settings[3]));
      DOCTEST_INFO("step " << t);
      EXPECT_EQ(s.scale, scale[t]);
      EXPECT_EQ(s.good_steps, tracker[t]);
    }
    EXPECT_EQ(s.skipped, std::accumulate(overflows.begin(), overflows.end(), std::int64_t{0}));
    ++cases;
  }
  EXPECT_EQ(cases, 6);
}

TEST("the clip factor gives what clip_grad_norm_ gives") {
  golden const file("clipping");
  auto const gradient = file.floats("gradient");
  auto const limits = file.reals("limits"), norms = file.reals("norms"), clipped = file.reals("clipped");
  for (std::size_t c = 0; c < limits.size(); ++c) {
    DOCTEST_INFO("limit " << limits[c]);
    double const norm = std::sqrt(optim::sum_of_squares(gradient.data(), std::int64_t(gradient.size())));
    EXPECT_NEAR(norm, norms[c], 1e-6 * norms[c]);
    float const factor = optim::clip_factor(norm, limits[c]);
    EXPECT((factor < 1) == (limits[c] < norms[c]));
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      double const want = clipped[c * gradient.size() + i];
      EXPECT_NEAR(gradient[i] * factor, want, 1e-6 * std::abs(want));
    }
  }
  EXPECT_EQ(optim::clip_factor(100, 0), 1.f);
}

TEST("one infinity or NaN anywhere makes the norm not finite") {
  for (float const bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()})
    for (std::size_t n : {1, 15, 16, 17, 4096, 9001})
      for (std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
        std::vector<float> x(n, 1.f);
        EXPECT_NEAR(optim::sum_of_squares(x.data(), std::int64_t(n)), double(n), 0);
        x[at] = bad;
        EXPECT(!std::isfinite(optim::sum_of_squares(x.data(), std::int64_t(n))));
      }
}
