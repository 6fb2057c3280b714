// Run at configure time, built for the instruction set of the trainers: which matrix product is faster here, tenon's or the
// library's, for each input type? One thread, the three products of a linear layer, best of interleaved rounds.
#include <tenon/exec/cpu/gemm.hpp>
#include <tenon/exec/cpu/product.hpp>
#include <tenon/exec/workspace.hpp>

#include <chrono>
#include <cstdio>
#include <vector>

using namespace tenon;
using namespace tenon::exec;

namespace {

constexpr std::int64_t rows = 512, in = 384, out = 1024;
constexpr int rounds = 12;

template <class F>
double seconds(F&& f) {
  auto const start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <class T>
struct contest {
  std::vector<T> x = std::vector<T>(rows * in), w = std::vector<T>(out * in), d_y = std::vector<T>(rows * out);
  std::vector<float> y = std::vector<float>(rows * out), d_x = std::vector<float>(rows * in), d_w = std::vector<float>(out * in);
  std::vector<float> packed = std::vector<float>(product_workspace(2048, 2048, false)), panel = std::vector<float>(panel_lines * 1024);

  void ours(std::int64_t m, std::int64_t n, std::int64_t k, cpu::operand<T> left, cpu::operand<T> right, float* to) {
    cpu::product_alone(0, m, n, k, left, right, cpu::fp32_target{to, n, nullptr, 0}, reinterpret_cast<cpu::word<T>*>(packed.data()),
                       reinterpret_cast<cpu::word<T>*>(panel.data()));
  }
  double own() {
    return seconds([&] {
      ours(rows, out, in, {x.data(), in, 1}, {w.data(), in, 1}, y.data());
      ours(rows, in, out, {d_y.data(), out, 1}, {w.data(), 1, in}, d_x.data());
      ours(out, in, rows, {d_y.data(), 1, out}, {x.data(), 1, in}, d_w.data());
    });
  }
  double library() {
    using cpu::op;
    return seconds([&] {
      cpu::gemm(op::none, op::transpose, rows, out, in, x.data(), in, w.data(), in, 0.f, y.data(), out);
      cpu::gemm(op::none, op::none, rows, in, out, d_y.data(), out, w.data(), in, 0.f, d_x.data(), in);
      cpu::gemm(op::transpose, op::none, out, in, rows, d_y.data(), out, x.data(), in, 0.f, d_w.data(), in);
    });
  }
  void run(char const* name) {
    double best_own = 1e9, best_library = 1e9;
    for (int i = 0; i < rounds; ++i) {
      best_own = std::min(best_own, own());
      best_library = std::min(best_library, library());
    }
    double const operations = 3 * 2e-9 * double(rows * in * out);
    std::printf("own_%s=%.0f\nlibrary_%s=%.0f\n", name, operations / best_own, name, operations / best_library);
  }
};

}  // namespace

int main() {
  cpu::single_threaded_blas const guard;
  contest<float>().run("fp32");
#if TENON_HAVE_MKL_GEMM  // elsewhere the library's door widens its operands and loses by far
  contest<nn::bf16>().run("bf16");
  contest<nn::fp16>().run("fp16");
#endif
}
