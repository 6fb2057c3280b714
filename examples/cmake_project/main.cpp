// A recipe of one's own, trained on a text of one's own: ./letters --data letters.txt
#include <tenon/tenon.hpp>

#include <iostream>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto letters = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 176},
    tn::precision::fp32{},
    tn::horizon{100_steps},
    tn::batch{.sequence = 64_tokens, .global = 8_samples, .micro = 8_samples},
    tn::optimizer::adamw{.weight_decay = 0.1, .clip = 1.0},
    tn::schedule::warmup_cosine{.peak = 3e-3, .warmup = 10_steps, .floor = 0.1},
    tn::checkpoint::every{.period = 50_steps, .keep = 1});

static_assert(tn::legal<letters>);

int main(int argc, char** argv) {
  std::cout << "a letter model on your text\n";
  return tn::run<letters>(argc, argv);
}
