#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "support/micro_batch.hpp"
#include "support/test.hpp"
#include "tenon/exec/activations.hpp"
#include "tenon/exec/cpu/executor.hpp"
#include "tenon/exec/store.hpp"
#include "tenon/models/of_recipe.hpp"
#include "tenon/recipe.hpp"

/// Recipes that differ in numbers of the trajectory share all machine code of layers and kernels: this program is asked
/// for its own symbols.

namespace {

using namespace tenon;
using namespace tenon::literals;

constexpr auto symbols_base =
    recipe(model::deepseek_llm{.vocab = 320, .hidden = 32, .layers = 2, .heads = 2, .intermediate = 40, .positions = 32},
           target::cpu{.memory = 8_GiB}, precision::fp32{}, horizon{100_steps}, batch{.sequence = 32_tokens, .global = 2_samples, .micro = 2_samples},
           schedule::warmup_cosine{.peak = 1e-3, .warmup = 10_steps, .floor = 0.1});
constexpr auto symbols_other = symbols_base.edit([](auto& r) {
  r.schedule.peak = 2e-4, r.schedule.floor = 0;
  r.horizon = 500_steps;
  r.optimizer.weight_decay = 0.3;
  r.seed.value = 7;
});
constexpr auto symbols_wider = symbols_base.edit([](auto& r) { r.model.hidden = 48; });

/// One step's forward and backward pass of a recipe.
template <auto const& R>
double run_symbols() {
  using model = models::of_recipe<R>;
  using compute = models::compute_of<R>;
  exec::parameter_store<model, compute> store;
  store.initialise(R.seed.value, 0.02);
  exec::activations<model, compute> memory(64, 1, 32, models::rotation_of(R.model));
  exec::cpu::team team(1);
  random_batch const b(2, 32, 320, 1);
  auto region = [&](int member) {
    exec::cpu::executor<compute> x(team, member, memory.workspace(member), memory.shared());
    model::forward_backward(x, store, b.view(memory.rotary_cos, memory.rotary_sin), memory.saved, memory.scratch, 1.f, true);
  };
  team.run(region);
  return nn::sum_of_tiles(memory.saved.head.loss, 64) / double(b.count());
}

std::vector<std::string> own_symbols() {
  std::string const command = "nm -C --defined-only /proc/" + std::to_string(::getpid()) + "/exe";
  std::vector<std::string> lines;
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string line;
  for (int c; (c = std::fgetc(pipe)) != EOF;) {
    if (c == '\n') lines.push_back(std::exchange(line, {}));
    else line += char(c);
  }
  REQUIRE(::pclose(pipe) == 0);
  return lines;
}

bool starts_in(std::string const& symbol, std::string const& room) {
  // "0000 W [void ]tenon::nn::..." : the function's own name, not its arguments.
  return symbol.substr(0, symbol.find('(')).find("tenon::" + room + "::") != std::string::npos;
}

}  // namespace

TEST("recipes that differ only in trajectory numbers share every symbol of layers and kernels") {
  static_assert(std::is_same_v<models::of_recipe<symbols_base>, models::of_recipe<symbols_other>>);
  static_assert(!std::is_same_v<models::of_recipe<symbols_base>, models::of_recipe<symbols_wider>>);
  double const a = run_symbols<symbols_base>(), b = run_symbols<symbols_other>(), c = run_symbols<symbols_wider>();
  for (double loss : {a, b, c}) EXPECT_NEAR(loss, std::log(320.), 0.2);  // untrained: as good as guessing
  EXPECT(a != b);  // another seed

  int layers = 0, drivers = 0;
  std::set<std::string> passes;  // addresses of the model's whole pass; a constructor, say, may be one code under two names
  for (auto const& s : own_symbols()) {
    drivers += s.find("run_symbols<") != std::string::npos;
    bool const layer = starts_in(s, "nn") || starts_in(s, "models") || starts_in(s, "exec");
    if (!layer) continue;
    ++layers;
    if (s.find("void tenon::models::decoder<320, 32,") != std::string::npos && s.find(">::forward_backward<") != std::string::npos) passes.insert(s.substr(0, s.find(' ')));
    DOCTEST_INFO(s);
    // A lambda of a test's own may name its recipe; what the library defines may not.
    if (s.find("run_symbols<") == std::string::npos)
      EXPECT((s.find("symbols_base") == std::string::npos && s.find("symbols_other") == std::string::npos));
  }
  EXPECT(drivers >= 3);
  EXPECT(layers > 20);
  EXPECT_EQ(passes.size(), 1);  // two recipes of one shape: one code
}
