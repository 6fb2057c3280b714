// The product of the policies that rules compare, judged by the rules; the counts are worked out by hand.
#include "recipe/support/recipes.hpp"
#include "support/test.hpp"
#include "tenon/core/hetero.hpp"

namespace {

namespace tn = tenon;
struct net;

TEST("the product of models, targets, precisions and memory policies") {
  int all = 0, legal = 0;
  tn::hetero::for_each_combination(
      [&](auto model, auto target, auto precision, auto memory) {
        ++all;
        legal += tn::is_legal(tn::recipe(model, target, precision, memory, tn::batch{.sequence = tn::tokens{64}}));
      },
      tn::hetero::make(recipes::tiny_model, tn::model::torch_module<net>{.vocab = 512}),
      tn::hetero::make(tn::target::cpu{}, tn::target::h100{}, tn::target::h200{}, tn::target::a100_80{},
                       tn::target::v100{}),
      tn::hetero::make(tn::precision::fp32{}, tn::precision::bf16{}, tn::precision::fp16{}, tn::precision::native{}),
      tn::hetero::make(tn::memory::keep{}, tn::memory::recompute{}));
  // fp32 and native run on all five targets, bf16 on three, fp16 on four: 17 of 20.
  // Both memory policies fit our model, only keep fits a foreign module: 3 of 4.
  EXPECT(all == 80);
  EXPECT(legal == 17 * 3);
}

}  // namespace
