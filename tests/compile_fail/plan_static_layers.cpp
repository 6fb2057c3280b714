// expect: \[tenon\.plan_static_layers\] the model runs under LibTorch's autograd
#include <tenon/exec/fits.hpp>

namespace tn = tenon;
using namespace tenon::literals;

struct my_module;
#ifdef FIXED
inline constexpr auto mine = tn::recipe(
    tn::model::deepseek_llm{.vocab = 512, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 172});
#else
inline constexpr auto mine = tn::recipe(tn::model::torch_module<my_module>{.vocab = 512}, tn::precision::fp32{});
#endif
static_assert(tn::plan<mine>.fits);
