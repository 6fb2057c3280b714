// DeepSeek-V2 against transformers' DeepseekV2ForCausalLM.
#include "parity/parity.hpp"

using namespace parity;

TEST("DeepSeek-V2: names, logits, loss, gradients and greedy text are transformers' own") {
  SUBCASE("compressed queries, greedy choice, two shared experts, llama3") {
    agrees<v2<24, 1, 0, false, plain_score, 2>>("parity_v2_1", "llama3");
  }
  SUBCASE("direct queries, 4 groups, one dense block, tied, yarn with mscale") {
    agrees<v2<0, 4, 1, true, yarn_score>>("parity_v2_2", "yarn");
  }
  SUBCASE("compressed queries, 4 groups, tied") { agrees<v2<24, 4, 0, true>>("parity_v2_3", "none"); }
  SUBCASE("direct queries, greedy choice, one dense block") { agrees<v2<0, 1, 1, false>>("parity_v2_4", "none"); }
  SUBCASE("compressed queries, greedy choice, yarn") { agrees<v2<24, 1, 0, false>>("parity_v2_5", "yarn_plain"); }
}
