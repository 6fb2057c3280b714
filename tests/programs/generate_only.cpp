// A program that draws text from a model and does nothing else. generate_only.sh asks it for its symbols.
#include <cstdio>

#include "tenon/deploy/generate.hpp"
#include "tenon/exec/store.hpp"
#include "tenon/models/deepseek_llm.hpp"

int main() {
  using namespace tenon;
  using model = models::deepseek_llm<64, 32, 2, 4, 2, 48, 32, false, nn::bits(1e-6)>;
  exec::parameter_store<model, float> store;
  store.initialise(1, 0.3);
  exec::cpu::team team(2);
  deploy::generator<model, float> g(24, team.size(), 10000);
  int tokens = 0;
  g.run(team, store, {1, 2, 3}, 64, {}, [&](std::int32_t) { ++tokens; }, [](std::int32_t) { return false; });
  std::printf("%d tokens\n", tokens);
  return tokens == 21 ? 0 : 1;
}
