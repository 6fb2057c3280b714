#pragma once
#include <cstdint>
#include <type_traits>
#include <vector>

#include "tenon/exec/cpu/work.hpp"
#include "tenon/nn/dtype.hpp"

#if !defined(TENON_HAVE_MKL_GEMM)
#define TENON_HAVE_MKL_GEMM 0
#endif
#if !defined(TENON_HAVE_BF16_GEMM)
#define TENON_HAVE_BF16_GEMM 0
#endif
// Whether tenon's own product is taken for operands of a type (decided by measurement at configure time).
#if !defined(TENON_OWN_GEMM_FP32)
#define TENON_OWN_GEMM_FP32 1
#define TENON_OWN_GEMM_BF16 1
#define TENON_OWN_GEMM_FP16 1
#endif

// Another BLAS than LibTorch's, on OpenMP (TENON_BLAS): its threads are those of the calling thread's OpenMP.
#if !defined(TENON_BLAS_OPENMP)
#define TENON_BLAS_OPENMP 0
#endif
#if TENON_BLAS_OPENMP
extern "C" {
int omp_get_max_threads();
int omp_get_num_procs();
void omp_set_num_threads(int);
}
#endif

#if TENON_HAVE_MKL_GEMM
extern "C" {
void sgemm_(char const*, char const*, int const*, int const*, int const*, float const*, float const*, int const*,
            float const*, int const*, float const*, float*, int const*);
int MKL_Set_Num_Threads_Local(int);
void cblas_gemm_bf16bf16f32(int layout, int trans_a, int trans_b, int m, int n, int k, float alpha,
                            std::uint16_t const* a, int lda, std::uint16_t const* b, int ldb, float beta, float* c,
                            int ldc);
void cblas_gemm_f16f16f32(int layout, int trans_a, int trans_b, int m, int n, int k, float alpha,
                          std::uint16_t const* a, int lda, std::uint16_t const* b, int ldb, float beta, float* c,
                          int ldc);
}
#else
#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#endif

/// The library's matrix multiplication on CPU: LibTorch's own BLAS, called with one thread from inside the team's
/// region.
namespace tenon::exec::cpu {

/// While alive, BLAS calls of this thread use `threads` threads (0: all), in every BLAS that may be linked.
class blas_threads {
 public:
  explicit blas_threads([[maybe_unused]] int threads) {
#if TENON_HAVE_MKL_GEMM
    mkl_ = MKL_Set_Num_Threads_Local(threads);
#endif
#if TENON_BLAS_OPENMP
    openmp_ = omp_get_max_threads();
    omp_set_num_threads(threads == 0 ? omp_get_num_procs() : threads);
#endif
  }
  ~blas_threads() {
#if TENON_HAVE_MKL_GEMM
    MKL_Set_Num_Threads_Local(mkl_);
#endif
#if TENON_BLAS_OPENMP
    omp_set_num_threads(openmp_);
#endif
  }
  blas_threads(blas_threads const&) = delete;
  blas_threads& operator=(blas_threads const&) = delete;

 private:
  [[maybe_unused]] int mkl_ = 0, openmp_ = 0;
};
/// While alive, BLAS calls of this thread use this thread only.
struct single_threaded_blas : blas_threads {
  single_threaded_blas() : blas_threads(1) {}
};
/// While alive, BLAS calls of this thread may use all threads again.
struct full_blas : blas_threads {
  full_blas() : blas_threads(0) {}
};

/// Whether products of T go to tenon's own kernel (product.hpp) or to the library.
template <class T>
inline constexpr bool own_product = std::is_same_v<T, float>      ? TENON_OWN_GEMM_FP32
                                    : std::is_same_v<T, nn::bf16> ? TENON_OWN_GEMM_BF16
                                                                  : TENON_OWN_GEMM_FP16;

/// Whether an operand is used as stored or transposed.
enum class op : std::uint8_t { none, transpose };

/// C[m, n] = beta * C + op(A) op(B); row-major, fp32 accumulation. ld*: elements from one stored row to the next.
/// beta == 0 overwrites C even where it holds NaN.
inline void gemm(op a_op, op b_op, std::int64_t m, std::int64_t n, std::int64_t k, float const* a, std::int64_t lda,
                 float const* b, std::int64_t ldb, float beta, float* c, std::int64_t ldc) {
  if (m == 0 || n == 0) return;
  work::product(m, n, k);
#if TENON_HAVE_MKL_GEMM
  int const mi = int(m), ni = int(n), ki = int(k), la = int(lda), lb = int(ldb), lc = int(ldc);
  float const one = 1;
  // Column-major BLAS sees the transposes: C^T = op(B)^T op(A)^T.
  sgemm_(b_op == op::none ? "N" : "T", a_op == op::none ? "N" : "T", &ni, &mi, &ki, &one, b, &lb, a, &la, &beta, c,
         &lc);
#else
  auto const view = [](float const* p, std::int64_t r, std::int64_t w, std::int64_t ld) {
    return at::from_blob(const_cast<float*>(p), {r, w}, {ld, 1});
  };
  auto const left = a_op == op::none ? view(a, m, k, lda) : view(a, k, m, lda).t();
  auto const right = b_op == op::none ? view(b, k, n, ldb) : view(b, n, k, ldb).t();
  auto out = view(c, m, n, ldc);
  if (beta == 0.f)
    at::mm_out(out, left, right);
  else
    at::addmm_out(out, out, left, right, beta, 1);
#endif
}

#if TENON_HAVE_MKL_GEMM
namespace detail {
inline constexpr int row_major = 101, as_stored = 111, transposed = 112;
}
inline void gemm(op a_op, op b_op, std::int64_t m, std::int64_t n, std::int64_t k, nn::bf16 const* a, std::int64_t lda,
                 nn::bf16 const* b, std::int64_t ldb, float beta, float* c, std::int64_t ldc) {
  using namespace detail;
  if (m == 0 || n == 0) return;
  work::product(m, n, k);
  cblas_gemm_bf16bf16f32(row_major, a_op == op::none ? as_stored : transposed,
                         b_op == op::none ? as_stored : transposed, int(m), int(n), int(k), 1.f, &a->bits, int(lda),
                         &b->bits, int(ldb), beta, c, int(ldc));
}
inline void gemm(op a_op, op b_op, std::int64_t m, std::int64_t n, std::int64_t k, nn::fp16 const* a, std::int64_t lda,
                 nn::fp16 const* b, std::int64_t ldb, float beta, float* c, std::int64_t ldc) {
  using namespace detail;
  if (m == 0 || n == 0) return;
  work::product(m, n, k);
  cblas_gemm_f16f16f32(row_major, a_op == op::none ? as_stored : transposed, b_op == op::none ? as_stored : transposed,
                       int(m), int(n), int(k), 1.f, &a->bits, int(lda), &b->bits, int(ldb), beta, c, int(ldc));
}
#else
/// Without such a routine the operands are widened; slow, and only for targets that emulate the type.
template <class T>
void gemm(op a_op, op b_op, std::int64_t m, std::int64_t n, std::int64_t k, T const* a, std::int64_t lda, T const* b,
          std::int64_t ldb, float beta, float* c, std::int64_t ldc) {
  auto const widened = [](T const* p, std::int64_t rows, std::int64_t cols, std::int64_t ld) {
    auto t = at::empty({rows, cols});
    float* out = t.template mutable_data_ptr<float>();
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t j = 0; j < cols; ++j) out[r * cols + j] = nn::widen(p[r * ld + j]);
    return t;
  };
  auto const left = a_op == op::none ? widened(a, m, k, lda) : widened(a, k, m, lda);
  auto const right = b_op == op::none ? widened(b, k, n, ldb) : widened(b, n, k, ldb);
  gemm(a_op, b_op, m, n, k, left.template const_data_ptr<float>(), left.size(1), right.template const_data_ptr<float>(),
       right.size(1), beta, c, ldc);
}
#endif

/// A product that every member makes once before the first step: the library sets up what it keeps for a thread when
/// the thread first calls it, and which member calls first in a step is chance.
template <class T>
void prepare_library() {
  if constexpr (!own_product<T>) {
    constexpr std::int64_t n = 128;
    std::vector<T> const a(n * n);
    std::vector<float> c(n * n);
    gemm(op::none, op::transpose, n, n, n, a.data(), n, a.data(), n, 0.f, c.data(), n);
  }
}

}  // namespace tenon::exec::cpu
