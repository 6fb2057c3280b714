#pragma once
// The part of cuBLASLt that tenon calls, as its documentation states it: column-major operands, leading dimensions,
// transposition, alpha and beta, sums in fp32 (here in fp64).
#include "emulation.hpp"

enum cublasStatus_t : int { CUBLAS_STATUS_SUCCESS = 0, CUBLAS_STATUS_INVALID_VALUE = 7, CUBLAS_STATUS_NOT_SUPPORTED = 15 };
enum cudaDataType_t { CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF };
enum cublasOperation_t { CUBLAS_OP_N, CUBLAS_OP_T };
enum cublasComputeType_t { CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32 };
struct emulated_product {
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
};
struct emulated_matrix {
  cudaDataType_t type;
  std::uint64_t rows, cols;
  std::int64_t ld;
};
struct emulated_wish {
  std::uint64_t workspace = 0;
  std::uint32_t alignment = 256, reductions = 7;
};
struct emulated_handle {};
using cublasLtHandle_t = emulated_handle*;
using cublasLtMatmulDesc_t = emulated_product*;
using cublasLtMatrixLayout_t = emulated_matrix*;
using cublasLtMatmulPreference_t = emulated_wish*;
struct cublasLtMatmulAlgo_t {
  std::uint32_t alignment = 0;
};
struct cublasLtMatmulHeuristicResult_t {
  cublasLtMatmulAlgo_t algo;
};
enum cublasLtMatmulDescAttributes_t { CUBLASLT_MATMUL_DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSB };
enum cublasLtMatmulPreferenceAttributes_t {
  CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
  CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES
};
enum { CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE = 2, CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE = 4 };

inline char const* cublasLtGetStatusString(cublasStatus_t) { return "an emulated status"; }
inline cublasStatus_t cublasLtCreate(cublasLtHandle_t* h) { return *h = new emulated_handle, CUBLAS_STATUS_SUCCESS; }
inline cublasStatus_t cublasLtDestroy(cublasLtHandle_t h) { return delete h, CUBLAS_STATUS_SUCCESS; }
inline cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* d, cublasComputeType_t c, cudaDataType_t scale) {
  return *d = new emulated_product{.compute = c}, scale == CUDA_R_32F ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
inline cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d) { return delete d, CUBLAS_STATUS_SUCCESS; }
inline cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t a, void const* v, std::size_t n) {
  if (n != sizeof(cublasOperation_t)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(a == CUBLASLT_MATMUL_DESC_TRANSA ? &d->a : &d->b, v, n);
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* l, cudaDataType_t t, std::uint64_t rows, std::uint64_t cols, std::int64_t ld) {
  return *l = new emulated_matrix{t, rows, cols, ld}, ld >= std::int64_t(rows) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
inline cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l) { return delete l, CUBLAS_STATUS_SUCCESS; }
inline cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* w) { return *w = new emulated_wish, CUBLAS_STATUS_SUCCESS; }
inline cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t w) { return delete w, CUBLAS_STATUS_SUCCESS; }
inline cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t w, cublasLtMatmulPreferenceAttributes_t a, void const* v, std::size_t n) {
  bool const wide = a == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
  if (n != (wide ? 8u : 4u)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(wide ? static_cast<void*>(&w->workspace)
                   : a == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK ? static_cast<void*>(&w->reductions) : static_cast<void*>(&w->alignment), v, n);
  return CUBLAS_STATUS_SUCCESS;
}
/// The matrix op(M) has `first` x `second`.
inline bool emulated_sizes(emulated_matrix const& m, cublasOperation_t o, std::uint64_t first, std::uint64_t second) {
  return o == CUBLAS_OP_N ? m.rows == first && m.cols == second : m.cols == first && m.rows == second;
}
inline cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                                     cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t out, cublasLtMatmulPreference_t w, int n,
                                                     cublasLtMatmulHeuristicResult_t* found, int* count) {
  std::uint64_t const k = d->a == CUBLAS_OP_N ? a->cols : a->rows;
  if (n < 1 || !emulated_sizes(*a, d->a, out->rows, k) || !emulated_sizes(*b, d->b, k, out->cols) || c->rows != out->rows ||
      a->type != b->type || (w->reductions & 1u) != 0)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (d->compute == CUBLAS_COMPUTE_32F_FAST_TF32 && a->type != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  return found->algo.alignment = w->alignment, *count = 1, CUBLAS_STATUS_SUCCESS;
}
/// TF32 has fp32's exponent and 10 bits behind the point; to nearest, as cvt.rna.tf32.f32 (PTX ISA) rounds.
inline float emulated_tf32(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if ((bits & 0x7f800000u) != 0x7f800000u) bits = (bits + 0x1000u) & ~0x1fffu;
  std::memcpy(&x, &bits, 4);
  return x;
}
inline double emulated_element(void const* p, emulated_matrix const& m, cublasOperation_t o, std::uint64_t i, std::uint64_t j,
                               cublasComputeType_t compute = CUBLAS_COMPUTE_32F) {
  auto const at = o == CUBLAS_OP_N ? i + j * std::uint64_t(m.ld) : j + i * std::uint64_t(m.ld);
  if (m.type == CUDA_R_32F) {
    float const x = static_cast<float const*>(p)[at];
    return double(compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? emulated_tf32(x) : x);
  }
  if (m.type == CUDA_R_16BF) return double(tenon::nn::widen(static_cast<tenon::nn::bf16 const*>(p)[at]));
  return double(tenon::nn::widen(static_cast<tenon::nn::fp16 const*>(p)[at]));
}
inline cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t d, void const* alpha, void const* a, cublasLtMatrixLayout_t la, void const* b,
                                     cublasLtMatrixLayout_t lb, void const* beta, void const* c, cublasLtMatrixLayout_t lc, void* out,
                                     cublasLtMatrixLayout_t lo, cublasLtMatmulAlgo_t const* algo, void*, std::size_t, cudaStream_t s) {
  for (void const* p : {a, b, c, static_cast<void const*>(out)})
    if (reinterpret_cast<std::uintptr_t>(p) % algo->alignment != 0) return CUBLAS_STATUS_NOT_SUPPORTED;
  emulation::enqueue(s, [d = *d, a, la = *la, b, lb = *lb, c, lc = *lc, out, lo = *lo, one = double(*static_cast<float const*>(alpha)),
                      add = double(*static_cast<float const*>(beta))] {
    emulation::device_at_work const working;
    std::uint64_t const depth = d.a == CUBLAS_OP_N ? la.cols : la.rows;
    for (std::uint64_t j = 0; j < lo.cols; ++j)
      for (std::uint64_t i = 0; i < lo.rows; ++i) {
        double sum = 0;
        for (std::uint64_t k = 0; k < depth; ++k) sum += emulated_element(a, la, d.a, i, k, d.compute) * emulated_element(b, lb, d.b, k, j, d.compute);
        float const value = float(one * sum + (add == 0 ? 0. : add * emulated_element(c, lc, CUBLAS_OP_N, i, j)));
        auto const at = i + j * std::uint64_t(lo.ld);
        if (lo.type == CUDA_R_32F)
          static_cast<float*>(out)[at] = value;
        else if (lo.type == CUDA_R_16BF)
          static_cast<tenon::nn::bf16*>(out)[at] = tenon::nn::narrow<tenon::nn::bf16>(value);
        else
          static_cast<tenon::nn::fp16*>(out)[at] = tenon::nn::narrow<tenon::nn::fp16>(value);
      }
  });
  return CUBLAS_STATUS_SUCCESS;
}
