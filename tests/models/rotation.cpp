// Rotary frequencies against transformers' own functions (tests/golden), and the tables made of them.
#include "tenon/nn/rotation.hpp"

#include "golden/golden.hpp"
#include "support/test.hpp"
#include "tenon/exec/activations.hpp"
#include "tenon/models/deepseek_llm.hpp"

using namespace tenon;

namespace {

using model::rope_scaling;
using model::rope_type;

void agrees(std::string const& name, int dim, nn::rotation const& turn) {
  golden const file("rope");
  auto const frequency = file.reals(name + ".frequency");
  DOCTEST_INFO(name);
  REQUIRE(frequency.size() == std::size_t(dim / 2));
  bool changed = false;
  for (int j = 0; j < dim / 2; ++j) {
    DOCTEST_INFO("pair " << j);
    EXPECT_NEAR(turn.frequency(j, dim), frequency[std::size_t(j)], 1e-6 * frequency[std::size_t(j)]);
    changed = changed || std::abs(turn.frequency(j, dim) - nn::rotation(turn.theta).frequency(j, dim)) > 1e-3 * frequency[std::size_t(j)];
  }
  EXPECT(changed);
  EXPECT_NEAR(turn.scaling.table_factor(), file.reals(name + ".factor")[0], 1e-12);
}

constexpr rope_scaling yarn{.type = rope_type::yarn, .factor = 40, .original = 4096};
constexpr auto with = [](auto f) {
  auto s = yarn;
  f(s);
  return s;
};

// V3's published numbers: 0.1 ln 40 + 1 = 1.36888; its square multiplies the scores, the tables keep their size.
constexpr auto v3 = with([](auto& s) { s.mscale = 1, s.mscale_all_dim = 1; });
static_assert(v3.score_factor() > 1.87385 && v3.score_factor() < 1.87386 && v3.table_factor() == 1);
static_assert(yarn.score_factor() == 1 && rope_scaling{}.score_factor() == 1 && rope_scaling{}.table_factor() == 1);

}  // namespace

TEST("rotary frequencies and the tables' factor are transformers' own") {
  agrees("linear", 64, {10000, {.type = rope_type::linear, .factor = 4}});
  agrees("llama3", 128, {500000, {.type = rope_type::llama3, .factor = 8, .original = 8192}});
  agrees("yarn", 64, {10000, yarn});
  agrees("yarn_mscale", 64, {10000, with([](auto& s) { s.mscale = 0.707, s.mscale_all_dim = 1; })});
  agrees("yarn_whole", 8, {10000, with([](auto& s) { s.factor = 4, s.original = 64, s.beta_fast = 4, s.truncate = false; })});
  agrees("yarn_factor", 64, {10000, with([](auto& s) { s.attention_factor = 1.25; })});
}

TEST("the tables hold cosine and sine of position times frequency, times the factor") {
  using tiny = models::deepseek_llm<61, 16, 1, 2, 2, 24, 32, false, nn::bits(1e-6)>;
  nn::rotation const turn{10000, with([](auto& s) { s.factor = 4, s.original = 16; })};
  exec::activations<tiny, float> memory(8, 1, 8, turn);
  for (int position : {0, 1, 31})
    for (int j = 0; j < 4; ++j) {
      double const angle = position * turn.frequency(j, 8), factor = 0.1 * std::log(4.0) + 1;
      EXPECT_NEAR(memory.rotary_cos[position * 4 + j], factor * std::cos(angle), 1e-5);
      EXPECT_NEAR(memory.rotary_sin[position * 4 + j], factor * std::sin(angle), 1e-5);
    }
}
