// Each operation of the executor on a GPU or the emulated one beside the plain loops that say what it means.
#include "cuda/operations.hpp"

namespace {

/// The plain loops compute in fp32 on the values that the GPU's format holds.
template <class T>
void beside_loops(double tolerance) {
  operations::beside<T, float>([](auto f) {
    toy_executor x;
    f(x);
  }, tolerance);
}

}  // namespace

TEST("each operation on the GPU gives what the plain loops give, in each format to its rounding") {
  SUBCASE("fp32") { beside_loops<float>(2e-6); }
  SUBCASE("bf16") { beside_loops<tenon::nn::bf16>(1e-2); }
  SUBCASE("fp16") { beside_loops<tenon::nn::fp16>(1e-3); }
}
