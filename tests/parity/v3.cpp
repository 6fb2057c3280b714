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
TEST("multi-token prediction: losses and gradients are those of the report's equations 21 to 25 and of transformers' MtpLayer") {
  SUBCASE("one module, compressed queries, 4 groups, one dense block, yarn with mscale") {
    agrees<v3<24, 4, 1, false, yarn_score, true, 1>>("parity_v3_5", "yarn");
  }
  SUBCASE("two modules, direct queries, one group, tied") {
    agrees<v3<0, 1, 0, true, plain_score, true, 2>>("parity_v3_6", "none");
  }
}
