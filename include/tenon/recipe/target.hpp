#pragma once
#include <cstdint>
#include <string_view>

#include "tenon/core/fixed.hpp"
#include "tenon/core/units.hpp"
#include "tenon/recipe/axes.hpp"
#include "tenon/recipe/dtype.hpp"

// Set by the build from a measurement of the machine; the fallbacks are the cautious answer.
#ifndef TENON_NATIVE_BF16
#define TENON_NATIVE_BF16 0
#endif
#ifndef TENON_NATIVE_FP16
#define TENON_NATIVE_FP16 0
#endif
#ifndef TENON_NATIVE_MEMORY
#define TENON_NATIVE_MEMORY 4294967296
#endif
#ifndef TENON_NATIVE_GFLOPS
#define TENON_NATIVE_GFLOPS 50
#endif
#ifndef TENON_NATIVE_BF16_GFLOPS
#define TENON_NATIVE_BF16_GFLOPS 0
#endif

namespace tenon {

enum class device_kind { cpu, cuda };

/// What the rules and the plan know of a machine. Rates are dense, in GFLOP/s; 0 means emulated.
struct target_facts {
  device_kind device = device_kind::cpu;
  bytes memory{0};
  double fp32 = 0, bf16 = 0, fp16 = 0;

  /// Whether the hardware computes in this format itself.
  constexpr bool computes(dtype t) const { return t == dtype::fp32 || (t == dtype::bf16 ? bf16 > 0 : fp16 > 0); }
};

}  // namespace tenon

namespace tenon::target {

/// The machine this was configured on, with facts measured by the build. bf16 counts as native where the CPU multiplies
/// it and its matrix product was measured to be at least 1.2 times as fast as the one in fp32.
struct native {
  using axis = tenon::axis::target;
  static constexpr std::string_view kind = "native";
  static constexpr bool native_bf16 = TENON_NATIVE_BF16 != 0 && TENON_NATIVE_BF16_GFLOPS * 10 > TENON_NATIVE_GFLOPS * 12;
  static constexpr bool native_fp16 = TENON_NATIVE_FP16 != 0;
  constexpr target_facts facts() const {
    double const rate = static_cast<double>(TENON_NATIVE_GFLOPS);
    return {.device = device_kind::cpu,
            .memory = bytes{static_cast<std::int64_t>(TENON_NATIVE_MEMORY)},
            .fp32 = rate,
            .bf16 = native_bf16 ? static_cast<double>(TENON_NATIVE_BF16_GFLOPS) : 0.0,
            .fp16 = native_fp16 ? rate : 0.0};
  }
};

/// Some CPU with this much memory; 16-bit formats count as emulated, because most CPUs do emulate them.
struct cpu {
  using axis = tenon::axis::target;
  static constexpr std::string_view kind = "cpu";
  static constexpr bool native_bf16 = false, native_fp16 = false;
  fixed<bytes, digest::none> memory = bytes{std::int64_t{4} << 30};  ///< memory the run may use; default 4 GiB
  constexpr target_facts facts() const { return {device_kind::cpu, memory.get(), 50, 0, 0}; }
};

/// NVIDIA H100 SXM: 80 GB, 67 TFLOP/s fp32, 989 bf16 and fp16 dense (H100 datasheet, figures without sparsity).
struct h100 {
  using axis = tenon::axis::target;
  static constexpr std::string_view kind = "h100";
  static constexpr bool native_bf16 = true, native_fp16 = true;
  constexpr target_facts facts() const { return {device_kind::cuda, bytes{80'000'000'000}, 67e3, 989e3, 989e3}; }
};

/// NVIDIA H200 SXM: 141 GB, 67 TFLOP/s fp32, 989 bf16 and fp16 dense (H200 datasheet, figures without sparsity).
struct h200 {
  using axis = tenon::axis::target;
  static constexpr std::string_view kind = "h200";
  static constexpr bool native_bf16 = true, native_fp16 = true;
  constexpr target_facts facts() const { return {device_kind::cuda, bytes{141'000'000'000}, 67e3, 989e3, 989e3}; }
};

/// NVIDIA A100 80GB SXM: 19.5 TFLOP/s fp32, 312 bf16 and fp16 dense (A100 datasheet).
struct a100_80 {
  using axis = tenon::axis::target;
  static constexpr std::string_view kind = "a100_80";
  static constexpr bool native_bf16 = true, native_fp16 = true;
  constexpr target_facts facts() const { return {device_kind::cuda, bytes{80'000'000'000}, 19.5e3, 312e3, 312e3}; }
};

/// NVIDIA V100 SXM2 32GB: 15.7 TFLOP/s fp32, 125 fp16; no bf16 (V100 datasheet).
struct v100 {
  using axis = tenon::axis::target;
  static constexpr std::string_view kind = "v100";
  static constexpr bool native_bf16 = false, native_fp16 = true;
  constexpr target_facts facts() const { return {device_kind::cuda, bytes{32'000'000'000}, 15.7e3, 0, 125e3}; }
};

}  // namespace tenon::target
