// The dense decoder with rotary scaling against transformers' LlamaForCausalLM (without: tests/models/golden_llama.cpp).
#include "parity/parity.hpp"

using namespace parity;

TEST("dense: names, logits, loss, gradients and greedy text are transformers' own") {
  SUBCASE("two key heads, linear") { agrees<dense<2, false>>("parity_dense_1", "linear"); }
  SUBCASE("one key head, tied, llama3") { agrees<dense<1, true>>("parity_dense_2", "llama3"); }
  SUBCASE("four key heads, yarn") { agrees<dense<4, false>>("parity_dense_3", "yarn_plain"); }
}
