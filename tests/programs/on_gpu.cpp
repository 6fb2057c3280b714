// A program of a recipe for a GPU, for tests/cuda/gpu/trainer.cpp.
#include <tenon/tenon.hpp>
//
#include <tenon/cuda.hpp>

using namespace tenon::literals;
inline constexpr auto small = tenon::recipe(
    tenon::model::deepseek_llm{.vocab = 320, .hidden = 64, .layers = 2, .heads = 4, .intermediate = 96, .positions = 64},
    tenon::target::h200{}, tenon::precision::bf16{}, tenon::horizon{20_steps},
    tenon::batch{.sequence = 64_tokens, .global = 8_samples, .micro = 4_samples});

static_assert(tenon::trainer<small>::on_device);

int main(int argc, char** argv) { return tenon::run<small>(argc, argv); }
