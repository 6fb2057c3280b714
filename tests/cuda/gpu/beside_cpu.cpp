// Each operation of the executor on a GPU beside the same one of the CPU's executor, in the same format. With --live, where
// there is a GPU.
#include "cuda/operations.hpp"
#include "support/executor_room.hpp"

namespace {

template <class T>
void beside_cpu(double tolerance) {
  tenon::exec::cpu::team team(1);
  executor_room room(1, operations::n, operations::vocab);
  operations::beside<T, T>([&](auto f) {
    auto region = [&](int member) {
      auto x = room.on<T>(team, member);
      f(x);
    };
    team.run(region);
  }, tolerance);
}

}  // namespace

TEST("each operation on the GPU gives what the CPU's executor gives" * doctest::skip(tenon::exec::cuda::device_count() == 0)) {
  SUBCASE("fp32") { beside_cpu<float>(2e-6); }
  SUBCASE("bf16") { beside_cpu<tenon::nn::bf16>(1e-2); }
  SUBCASE("fp16") { beside_cpu<tenon::nn::fp16>(1e-3); }
}
