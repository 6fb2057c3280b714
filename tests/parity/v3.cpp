// DeepSeek-V3 against transformers' DeepseekV3ForCausalLM.
#include "parity/parity.hpp"

using namespace parity;

TEST("DeepSeek-V3: names, logits, loss, gradients and greedy text are transformers' own") {
  SUBCASE("compressed queries, 4 groups, one dense block, yarn with mscale") {
    agrees<v3<24, 4, 1, false, yarn_score>>("parity_v3_1", "yarn");
  }
  SUBCASE("direct queries, one group, tied") { agrees<v3<0, 1, 0, true>>("parity_v3_2", "none"); }
  SUBCASE("direct queries, 4 groups, weights not normalised, llama3") {
    agrees<v3<0, 4, 0, false, plain_score, false>>("parity_v3_3", "llama3");
  }
  SUBCASE("compressed queries, one group, one dense block, tied, llama3") {
    agrees<v3<24, 1, 1, true>>("parity_v3_4", "llama3");
  }
}
