// The model against transformers' LlamaForCausalLM on the same weights (tests/golden): names, logits, loss, gradients.
#include <set>

#include "golden/llama.hpp"
#include "support/test.hpp"

using namespace tenon;
using namespace golden_llama;

namespace {

template <class Model>
void agrees(int members) {
  rig<Model> r(members);

  std::set<std::string> ours, theirs;
  for (auto const& p : exec::parameter_places<Model>()) {
    ours.insert(p.name);
    auto const& stored = r.file.tensors().at("weight/" + p.name);
    EXPECT((stored.shape ==
            (p.rank == 1 ? std::vector<std::int64_t>{p.cols} : std::vector<std::int64_t>{p.rows, p.cols})));
  }
  for (auto const& [name, unused] : r.file.tensors())
    if (name.rfind("weight/", 0) == 0) theirs.insert(name.substr(7));
  EXPECT((ours == theirs));

  auto const want = r.file.reals("logits");
  auto const have = r.logits(r.tokens, samples, sequence);
  REQUIRE(have.size() == want.size());
  double const logits = relative_distance(have.data(), want.data(), want.size());
  DOCTEST_INFO("logits: " << logits);
  EXPECT(logits <= 1e-5);

  double const loss = r.forward_backward(), golden_loss = r.file.reals("loss")[0];
  EXPECT(r.count() < samples * (sequence - 1));  // some rows have no target
  EXPECT_NEAR(loss, golden_loss, 1e-5 * golden_loss);
  for (auto const& p : exec::parameter_places<Model>()) {
    auto const gradient = r.file.reals("gradient/" + p.name);
    double const distance = relative_distance(r.store.gradient() + p.offset, gradient.data(), gradient.size());
    DOCTEST_INFO(p.name << ": " << distance);
    EXPECT(distance <= 1e-4);
  }
}

}  // namespace

TEST("K5: names, shapes, logits, loss and gradients are transformers' own") {
  SUBCASE("untied, grouped queries, two members") { agrees<untied>(2); }
  SUBCASE("untied, one member") { agrees<untied>(1); }
  SUBCASE("tied, one key head, three members") { agrees<tied>(3); }
}
