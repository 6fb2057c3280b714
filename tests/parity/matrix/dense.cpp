// The product of the dense model's choices.
#include "parity/matrix/matrix.hpp"

namespace {

template <int KvHeads, bool Tied>
void each_rope() {
  for (std::string const rope : {"none", "llama3", "yarn"}) {
    auto const scaled = rope == "yarn" ? "yarn_plain" : rope;
    auto policy = matrix::shared_fields(tenon::model::deepseek_llm{}, Tied, scaled);
    policy.kv_heads = KvHeads;
    matrix::agrees<parity::dense<KvHeads, Tied>>(
        "dense_" + std::to_string(KvHeads) + "_" + std::to_string(int(Tied)) + "_" + rope, scaled, policy);
  }
}

}  // namespace

TEST("live: every dense model of the product is transformers' own, and what tenon writes of it is loaded" * doctest::skip(live::off())) {
  each_rope<1, false>(), each_rope<1, true>(), each_rope<4, false>(), each_rope<4, true>();
  matrix::exported_are_loaded("dense_");
}
