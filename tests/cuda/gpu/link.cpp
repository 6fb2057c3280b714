// One model's engine for a real GPU, so that it is compiled and linked where no GPU is to run the tests on.
#include "cuda/rig.hpp"

template class tenon::exec::cuda::device<rigs::untied, tenon::nn::bf16, 2>;
