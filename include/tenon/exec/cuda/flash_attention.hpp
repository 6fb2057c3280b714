#pragma once
#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "tenon/exec/cuda/executor.hpp"

/// Attention through the library's flash kernels (Dao 2023, arXiv 2307.08691), with a document's border as a border of
/// sequences. They take 16-bit formats, head widths up to 256 in multiples of 8, and GPUs from sm_80 on; all else goes to
/// the kernels of attention_kernels.cuh. Needs LibTorch's CUDA wheel with the libraries that it stands on.
namespace tenon::exec::cuda {

struct library_attention {
  template <class T>
  static void forward(stream s, attention_shape const& a, micro_batch_extra const& extra, std::int32_t const* document_start,
                      T const* q, T const* k, T const* v, T* out, float* lse, attention_workspace_places<T> const& w) {
    if constexpr (!std::is_same_v<T, float>) {
      if (takes(a, extra)) {
        at_work const here(s);
        auto const n = a.samples * a.sequence;
        auto const begins = here.ints(extra.begins, extra.documents + 1);
        auto const [mixed, sums, seed, offset, mask] = at::_flash_attention_forward(
            here.heads(q, n, a.heads, a.dim), here.heads(k, n, a.kv_heads, a.dim), here.heads(v, n, a.kv_heads, a.dim), begins,
            begins, a.sequence, a.sequence, 0.0, true, false, double(a.scale));
        if (sums.numel() != n * a.heads || sums.scalar_type() != at::kFloat || !mixed.is_contiguous())
          throw error("LibTorch's flash attention returns another layout than tenon knows; take the LibTorch that ./tenon build installs");
        copy_on_device(s, out, mixed.const_data_ptr(), n * a.heads * a.dim * std::int64_t(sizeof(T)));
        copy_on_device(s, lse, sums.contiguous().const_data_ptr(), n * a.heads * 4);  // [head][row]: read by `backward` alone
        return;
      }
    }
    own_attention::forward<T>(s, a, extra, document_start, q, k, v, out, lse, w);
  }
  template <class T>
  static void backward(stream s, attention_shape const& a, micro_batch_extra const& extra, std::int32_t const* document_start,
                       T* q, T* k, T* v, T const* out, float const* lse, float const* d_out,
                       attention_workspace_places<T> const& w) {
    if constexpr (!std::is_same_v<T, float>) {
      if (takes(a, extra)) {
        auto const n = a.samples * a.sequence;
        convert<T>(s, n * a.heads * a.dim, d_out, w.d_q);
        at_work const here(s);
        auto const begins = here.ints(extra.begins, extra.documents + 1);
        auto const random = at::empty({2}, here.options(at::kLong));  // of dropout, which there is none
        auto const sums = at::from_blob(const_cast<float*>(lse), {a.heads, n}, here.options(at::kFloat));
        auto const [d_q, d_k, d_v] = at::_flash_attention_backward(
            here.heads(w.d_q, n, a.heads, a.dim), here.heads(q, n, a.heads, a.dim), here.heads(k, n, a.kv_heads, a.dim),
            here.heads(v, n, a.kv_heads, a.dim), here.heads(out, n, a.heads, a.dim), sums, begins, begins, a.sequence, a.sequence,
            0.0, true, random, random, double(a.scale));
        auto const keep = [&](T* to, at::Tensor const& from) {
          copy_on_device(s, to, from.contiguous().const_data_ptr(), from.numel() * std::int64_t(sizeof(T)));
        };
        keep(q, d_q), keep(k, d_k), keep(v, d_v);
        return;
      }
    }
    own_attention::backward<T>(s, a, extra, document_start, q, k, v, out, lse, d_out, w);
  }

 private:
  /// Whether the library's kernels have this shape, on this GPU.
  static bool takes(attention_shape const& a, micro_batch_extra const& extra) {
    static bool const new_enough = facts_of_device(c10::cuda::current_device()).capability >= 80;
    return new_enough && a.dim % 8 == 0 && a.dim <= 256 && extra.documents > 0;
  }
  /// While one lives, the library works in our stream, and adds up in one order.
  class at_work {
   public:
    explicit at_work(stream s) : guard_(c10::cuda::getStreamFromExternal(s, c10::cuda::current_device())) {
      static bool const once = [] {
        at::globalContext().setDeterministicAlgorithms(true, false);
        at::globalContext().setDeterministicFillUninitializedMemory(false);
        return true;
      }();
      (void)once;
    }
    static at::TensorOptions options(at::ScalarType t) { return at::TensorOptions().dtype(t).device(at::kCUDA); }
    template <class T>
    static at::Tensor heads(T const* data, std::int64_t n, int heads, int dim) {
      return at::from_blob(const_cast<T*>(data), {n, heads, dim}, options(std::is_same_v<T, nn::bf16> ? at::kBFloat16 : at::kHalf));
    }
    static at::Tensor ints(std::int32_t const* data, std::int64_t n) {
      return at::from_blob(const_cast<std::int32_t*>(data), {n}, options(at::kInt));
    }

   private:
    c10::cuda::CUDAStreamGuard guard_;
  };
};

}  // namespace tenon::exec::cuda
