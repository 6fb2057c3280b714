// expect: \[tenon\.plan_fits\] the plan of the run needs more than 90 percent of the target's memory
#include <tenon/exec/fits.hpp>

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 32'256, .hidden = 4'096, .layers = 32, .heads = 32, .intermediate = 11'008},
    tn::precision::bf16{}, tn::batch{.sequence = 4'096_tokens, .global = 256_samples, .micro = 1_samples},
#ifdef FIXED
    tn::target::h200{}, tn::memory::recompute{}
#else
    tn::target::h100{}
#endif
);
static_assert(tn::fits<mine>);
