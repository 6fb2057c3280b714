#pragma once
#include <cublasLt.h>

#include <array>
#include <bit>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "tenon/exec/cuda/api.hpp"
#include "tenon/exec/cuda/step_numbers.hpp"
#include "tenon/nn/dtype.hpp"

/// Matrix products through cuBLASLt, which counts in columns: a row-major matrix [r][c] is its column-major [c][r].
namespace tenon::exec::cuda {

inline void check(cublasStatus_t code, char const* what) {
  if (code == CUBLAS_STATUS_SUCCESS) return;
  throw error(std::string(what) + " failed: " + cublasLtGetStatusString(code) +
              "; look at nvidia-smi and the system's log, and go on from the last checkpoint");
}

template <class T>
inline constexpr cudaDataType_t cuda_type = CUDA_R_32F;
template <>
inline constexpr cudaDataType_t cuda_type<nn::bf16> = CUDA_R_16BF;
template <>
inline constexpr cudaDataType_t cuda_type<nn::fp16> = CUDA_R_16F;

enum class op : std::uint8_t { none, transpose };

/// One product: out [m][n] = beta * out + left [m][k] right [k][n], everything row-major. `transpose`: the operand lies
/// as the transposed matrix in memory, with rows of k (of m, of n) elements as that says.
struct product_shape {
  op left, right;
  std::int64_t m, n, k;
  bool adds;  ///< beta is 1, else 0
  friend bool operator==(product_shape const&, product_shape const&) = default;
};

/// Makes each product's plan once, the first time that it is asked for (which is in the first step, before a graph is
/// captured), and runs it. Sums are fp32 whatever the operands are; fp32 operands are rounded to TF32 where that is asked for,
/// and only there. Results are the same bits each time: no plan adds with atomics, and the library's choice depends on the
/// shape and the device alone.
class gemm {
 public:
  /// `workspace`: gemm_workspace bytes of the device. `tf32`: round fp32 operands to TF32.
  explicit gemm(void* workspace, bool tf32 = false) : workspace_(workspace), tf32_(tf32) {
    cublasLtHandle_t h = nullptr;
    check(cublasLtCreate(&h), "starting cuBLASLt");
    handle_.reset(h);
  }

  template <class T, class Out>
  void operator()(stream s, product_shape const& shape, T const* left, T const* right, Out* out) {
    auto const& p = plan_for<T, Out>(shape, alignment_of(left, right, out));
    float const one = 1, beta = shape.adds ? 1.f : 0.f;
    // Column-major: out^T = right^T left^T, so the operands change places.
    check(cublasLtMatmul(handle_.get(), p.description.get(), &one, right, p.a.get(), left, p.b.get(), &beta, out, p.c.get(),
                         out, p.c.get(), &p.algorithm, workspace_, std::size_t(gemm_workspace), s),
          "a matrix product");
  }
  /// How many different products were asked for.
  std::size_t plans() const { return plans_.size(); }

 private:
  template <class T, cublasStatus_t (*Destroy)(T)>
  struct destroyer {
    using pointer = T;
    void operator()(T p) const {
      if (!abandoned) (void)Destroy(p);
    }
  };
  template <class T, cublasStatus_t (*Destroy)(T)>
  using handle = std::unique_ptr<T, destroyer<T, Destroy>>;

  struct plan {
    product_shape shape;
    cudaDataType_t in, result;
    unsigned alignment;
    handle<cublasLtMatmulDesc_t, &cublasLtMatmulDescDestroy> description;
    handle<cublasLtMatrixLayout_t, &cublasLtMatrixLayoutDestroy> a, b, c;
    cublasLtMatmulAlgo_t algorithm;
  };

  /// The largest power of two, up to 256, that divides all addresses. Kernels that load 16 bytes at a time need it.
  static unsigned alignment_of(void const* a, void const* b, void const* c) {
    auto const bits = reinterpret_cast<std::uintptr_t>(a) | reinterpret_cast<std::uintptr_t>(b) |
                      reinterpret_cast<std::uintptr_t>(c) | 256u;
    return 1u << std::countr_zero(bits);
  }

  template <class T, class Out>
  plan const& plan_for(product_shape const& shape, unsigned alignment) {
    for (auto const& p : plans_)
      if (p->shape == shape && p->in == cuda_type<T> && p->result == cuda_type<Out> && p->alignment == alignment) return *p;
    return *plans_.emplace_back(make_plan(shape, cuda_type<T>, cuda_type<Out>, alignment));
  }

  static cublasLtMatrixLayout_t layout(cudaDataType_t t, std::int64_t rows, std::int64_t cols) {
    cublasLtMatrixLayout_t l = nullptr;
    check(cublasLtMatrixLayoutCreate(&l, t, std::uint64_t(rows), std::uint64_t(cols), rows), "describing a matrix");
    return l;
  }
  static void set(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t a, cublasOperation_t o) {
    check(cublasLtMatmulDescSetAttribute(d, a, &o, sizeof o), "describing a product");
  }

  std::unique_ptr<plan> make_plan(product_shape const& s, cudaDataType_t in, cudaDataType_t result, unsigned alignment) const {
    auto p = std::make_unique<plan>();
    p->shape = s, p->in = in, p->result = result, p->alignment = alignment;
    cublasLtMatmulDesc_t d = nullptr;
    check(cublasLtMatmulDescCreate(&d, tf32_ && in == CUDA_R_32F ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "describing a product");
    p->description.reset(d);
    set(d, CUBLASLT_MATMUL_DESC_TRANSA, s.right == op::none ? CUBLAS_OP_N : CUBLAS_OP_T);
    set(d, CUBLASLT_MATMUL_DESC_TRANSB, s.left == op::none ? CUBLAS_OP_N : CUBLAS_OP_T);
    // In memory: right is [k][n], or [n][k] where transposed; left [m][k], or [k][m]. Columns of one are rows of the other.
    p->a.reset(s.right == op::none ? layout(in, s.n, s.k) : layout(in, s.k, s.n));
    p->b.reset(s.left == op::none ? layout(in, s.k, s.m) : layout(in, s.m, s.k));
    p->c.reset(layout(result, s.n, s.m));
    handle<cublasLtMatmulPreference_t, &cublasLtMatmulPreferenceDestroy> wish;
    cublasLtMatmulPreference_t w = nullptr;
    check(cublasLtMatmulPreferenceCreate(&w), "choosing a product");
    wish.reset(w);
    auto const prefer = [&](cublasLtMatmulPreferenceAttributes_t a, auto value) {
      check(cublasLtMatmulPreferenceSetAttribute(w, a, &value, sizeof value), "choosing a product");
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t(gemm_workspace));
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
           std::uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE));  // no atomics
    for (auto const a : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                         CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      prefer(a, std::uint32_t(alignment));
    cublasLtMatmulHeuristicResult_t found{};
    int n = 0;
    auto const code = cublasLtMatmulAlgoGetHeuristic(handle_.get(), d, p->a.get(), p->b.get(), p->c.get(), p->c.get(), w, 1, &found, &n);
    if (code != CUBLAS_STATUS_SUCCESS || n == 0)
      throw error("cuBLASLt has no product of " + std::to_string(s.m) + " x " + std::to_string(s.k) + " by " +
                  std::to_string(s.k) + " x " + std::to_string(s.n) + " in this format on this GPU (" +
                  cublasLtGetStatusString(code) + "); choose widths of the model that are multiples of 8");
    p->algorithm = found.algo;
    return p;
  }

  handle<cublasLtHandle_t, &cublasLtDestroy> handle_;
  std::vector<std::unique_ptr<plan>> plans_;
  void* workspace_;
  bool tf32_;
};

}  // namespace tenon::exec::cuda
