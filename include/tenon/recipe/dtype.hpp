#pragma once
#include <string_view>

namespace tenon {

/// Number formats that buffers of a run can have.
enum class dtype {
  fp32,
  bf16,
  fp16,
  fp8,  ///< E4M3; a policy of one's own may name it, and a rule says what there is no code for
  tf32  ///< fp32 whose operands a GPU's tensor cores round to 10 bits behind the point; products alone, no buffer
};

/// Bytes of one element.
constexpr int size_of(dtype t) { return t == dtype::fp32 || t == dtype::tf32 ? 4 : t == dtype::fp8 ? 1 : 2; }

/// The name as it is written in a recipe: fp32, bf16, fp16, fp8, tf32.
constexpr std::string_view name_of(dtype t) {
  constexpr std::string_view names[]{"fp32", "bf16", "fp16", "fp8", "tf32"};
  return names[static_cast<int>(t)];
}

}  // namespace tenon
