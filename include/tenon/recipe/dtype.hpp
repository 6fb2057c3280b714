#pragma once
#include <string_view>

namespace tenon {

/// Number formats that buffers of a run can have.
enum class dtype { fp32, bf16, fp16 };

/// Bytes of one element.
constexpr int size_of(dtype t) { return t == dtype::fp32 ? 4 : 2; }

/// The name as it is written in a recipe: fp32, bf16, fp16.
constexpr std::string_view name_of(dtype t) { return t == dtype::fp32 ? "fp32" : t == dtype::bf16 ? "bf16" : "fp16"; }

}  // namespace tenon
