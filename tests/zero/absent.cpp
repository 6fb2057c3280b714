// One pass in fp32 that keeps its activations. With -DEVERYTHING the headers of what it does not use stand above it; its
// code must be the same (zero.py compares).
#ifdef EVERYTHING
#include "tenon/exec/count/executor.hpp"
#include "tenon/exec/plan.hpp"
#include "tenon/recipe.hpp"
#include "tenon/recipe/describe.hpp"
#include "tenon/recipe/digests.hpp"
#endif
#include "opaque.hpp"
#include "tenon/exec/store.hpp"
#include "tenon/models/deepseek_llm.hpp"

using model = tenon::models::deepseek_llm<320, 32, 4, 4, 2, 48, 16, false, 0x358637bdu>;
using store = tenon::exec::parameter_store<model, float>;

extern "C" void zero_absent(zero::opaque<float>& x, store& s, tenon::nn::micro_batch const& b, model::saved<float> const& saved,
                            model::scratch const& scratch, float seed, bool first) {
  model::forward_backward(x, s, b, saved, scratch, seed, first);
}
