#pragma once
#include <string_view>

namespace tenon {

/// Number formats that buffers of a run can have.
enum class dtype {
  fp32,
  bf16,
  fp16,
  fp8  ///< E4M3; a policy of one's own may name it, and a rule says what there is no code for
};

/// Bytes of one element.
constexpr int size_of(dtype t) { return t == dtype::fp32 ? 4 : t == dtype::fp8 ? 1 : 2; }

/// The name as it is written in a recipe: fp32, bf16, fp16, fp8.
constexpr std::string_view name_of(dtype t) {
  return t == dtype::fp32 ? "fp32" : t == dtype::bf16 ? "bf16" : t == dtype::fp16 ? "fp16" : "fp8";
}

}  // namespace tenon
