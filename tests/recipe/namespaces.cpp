// A program that opens both namespaces, after and before the headers of the standard library, still compiles and means
// tenon.
#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "support/test.hpp"
#include "tenon/app/command_line.hpp"
#include "tenon/core/hetero.hpp"
#include "tenon/recipe.hpp"
#include "tenon/recipe/describe.hpp"
#include "tenon/recipe/digests.hpp"
#include "tenon/recipe/json.hpp"
#include "tenon/variants/base.hpp"

using namespace std;
using namespace tenon;
using namespace tenon::literals;
using namespace std::literals;

namespace {

inline constexpr auto mine =
    recipe(model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172},
           target::cpu{.memory = 8_GiB}, precision::fp32{}, objective::next_token{}, horizon{1'000_steps},
           batch{.sequence = 128_tokens, .global = 8_samples, .micro = 4_samples}, data::corpus{.tokenizer_vocab = 300},
           curriculum::none{}, optimizer::adamw{.weight_decay = 0.1}, schedule::warmup_cosine{.warmup = 5_percent},
           trainable::all{}, memory::keep{}, parallel::single{}, checkpoint::every{.period = 10_minutes, .keep = 2},
           observe::standard{}, seed{3});
static_assert(legal<mine>);

TEST("both namespaces open") {
  auto r = mine.edit([](auto& one) { one.schedule.peak = 1e-4; });
  steps const n = total_steps(r.horizon, r.batch);
  minutes const wait{2};
  EXPECT(n == 1'000_steps);
  EXPECT(wait.count == 2);
  EXPECT(violations(r).empty());
  EXPECT(!describe(r).empty());
  EXPECT(digests(r).identity.size() == 64);
  EXPECT(to_json(r)["seed"]["value"] == 3);
  vector<int> numbers{3, 1, 2};
  sort(numbers.begin(), numbers.end());
  EXPECT(numbers[0] == 1);
}

}  // namespace
