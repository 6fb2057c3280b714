// A model's engines for a real GPU, so that they are compiled and linked where no GPU is to run the tests on.
#include "cuda/rig.hpp"

template class tenon::exec::cuda::device<rigs::untied, tenon::nn::bf16, 2>;
template class tenon::exec::cuda::device<rigs::untied, float, 1, tenon::exec::cuda::own_attention, tenon::nn::bf16>;
