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
#ifdef TENON_NATIVE_GFLOPS
#define TENON_NATIVE_MEASURED 1
#else
#define TENON_NATIVE_MEASURED 0
#define TENON_NATIVE_GFLOPS 50
#endif
#ifndef TENON_NATIVE_BF16_GFLOPS
#define TENON_NATIVE_BF16_GFLOPS 0
#endif

namespace tenon {

enum class device_kind { cpu, cuda };

/// What the rules and the plan know of a machine. Rates are dense (figures without sparsity), in GFLOP/s of matrix
/// products that add in fp32; 0 means emulated. The marketing figures of vendors count GB as 10^9 bytes, and so do we.
struct target_facts {
  device_kind device = device_kind::cpu;
  bytes memory{0};
  double fp32 = 0, bf16 = 0, fp16 = 0;
  double bandwidth = 0;  ///< of its memory, GB/s; 0: not known
  double link = 0;       ///< to the other devices of its machine, GB/s in one direction; 0: not known
  double fp8 = 0;        ///< E4M3 operands
  double tf32 = 0;       ///< fp32 operands, rounded

  /// The rate in this format, GFLOP/s; that of fp32 where the format is emulated.
  constexpr double rate(dtype t) const {
    return own_rate(t) > 0 ? own_rate(t) : fp32;
  }

  /// Whether the hardware computes in this format itself.
  constexpr bool computes(dtype t) const { return t == dtype::fp32 || own_rate(t) > 0; }

 private:
  constexpr double own_rate(dtype t) const {
    return t == dtype::fp32 ? fp32 : t == dtype::bf16 ? bf16 : t == dtype::fp16 ? fp16 : t == dtype::fp8 ? fp8 : tf32;
  }
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
  fixed<bytes, digest::layout> memory = bytes{std::int64_t{4} << 30};  ///< memory the run may use; default 4 GiB
  constexpr target_facts facts() const { return {device_kind::cpu, memory.get(), 50, 0, 0}; }
};

/// NVIDIA H100 SXM: 80 GB at 3,350 GB/s; 67 TFLOP/s fp32, 989 bf16 and fp16, 494.5 TF32, 1,979 fp8; NVLink 900 GB/s both ways (NVIDIA H100
/// Tensor Core GPU datasheet, 2023).
struct h100 {
  using axis = tenon::axis::target;
  static constexpr std::string_view kind = "h100";
  static constexpr bool native_bf16 = true, native_fp16 = true;
  constexpr target_facts facts() const {
    return {device_kind::cuda, bytes{80'000'000'000}, 67e3, 989e3, 989e3, 3350, 450, 1979e3, 494.5e3};
  }
};

/// NVIDIA H200 SXM: 141 GB at 4,800 GB/s; 67 TFLOP/s fp32, 989 bf16 and fp16, 494.5 TF32, 1,979 fp8; NVLink 900 GB/s both ways (NVIDIA H200
/// Tensor Core GPU datasheet, 2024).
struct h200 {
  using axis = tenon::axis::target;
  static constexpr std::string_view kind = "h200";
  static constexpr bool native_bf16 = true, native_fp16 = true;
  constexpr target_facts facts() const {
    return {device_kind::cuda, bytes{141'000'000'000}, 67e3, 989e3, 989e3, 4800, 450, 1979e3, 494.5e3};
  }
};

/// NVIDIA B200 in a DGX or HGX B200: 180 GB at 8,000 GB/s; 75 TFLOP/s fp32, 2,250 bf16 and fp16, 1,125 TF32, 4,500 fp8; NVLink
/// 1,800 GB/s both ways (NVIDIA DGX B200 and HGX B200 datasheets, 2024; an eighth of the machine's figures, halved where these are with
/// sparsity).
struct b200 {
  using axis = tenon::axis::target;
  static constexpr std::string_view kind = "b200";
  static constexpr bool native_bf16 = true, native_fp16 = true;
  constexpr target_facts facts() const {
    return {device_kind::cuda, bytes{180'000'000'000}, 75e3, 2250e3, 2250e3, 8000, 900, 4500e3, 1125e3};
  }
};

/// NVIDIA A100 80GB SXM: 80 GB at 2,039 GB/s; 19.5 TFLOP/s fp32, 312 bf16 and fp16, 156 TF32; NVLink 600 GB/s both ways (NVIDIA
/// A100 Tensor Core GPU datasheet, 2021).
struct a100_80 {
  using axis = tenon::axis::target;
  static constexpr std::string_view kind = "a100_80";
  static constexpr bool native_bf16 = true, native_fp16 = true;
  constexpr target_facts facts() const {
    return {device_kind::cuda, bytes{80'000'000'000}, 19.5e3, 312e3, 312e3, 2039, 300, 0, 156e3};
  }
};

/// NVIDIA A100 40GB SXM: 40 GB at 1,555 GB/s; 19.5 TFLOP/s fp32, 312 bf16 and fp16, 156 TF32; NVLink 600 GB/s both ways (NVIDIA
/// A100 Tensor Core GPU datasheet, 2020).
struct a100_40 {
  using axis = tenon::axis::target;
  static constexpr std::string_view kind = "a100_40";
  static constexpr bool native_bf16 = true, native_fp16 = true;
  constexpr target_facts facts() const {
    return {device_kind::cuda, bytes{40'000'000'000}, 19.5e3, 312e3, 312e3, 1555, 300, 0, 156e3};
  }
};

/// NVIDIA V100 SXM2 32GB: 32 GB at 900 GB/s; 15.7 TFLOP/s fp32, 125 fp16; no bf16, no TF32; NVLink 300 GB/s both ways (NVIDIA
/// V100 datasheet, 2020).
struct v100 {
  using axis = tenon::axis::target;
  static constexpr std::string_view kind = "v100";
  static constexpr bool native_bf16 = false, native_fp16 = true;
  constexpr target_facts facts() const {
    return {device_kind::cuda, bytes{32'000'000'000}, 15.7e3, 0, 125e3, 900, 150};
  }
};

/// NVIDIA L40S: 48 GB at 864 GB/s; 91.6 TFLOP/s fp32, 362 bf16 and fp16, 183 TF32, 733 fp8; PCIe 4.0 x16, 64 GB/s both ways (NVIDIA L40S
/// datasheet, 2023).
struct l40s {
  using axis = tenon::axis::target;
  static constexpr std::string_view kind = "l40s";
  static constexpr bool native_bf16 = true, native_fp16 = true;
  constexpr target_facts facts() const {
    return {device_kind::cuda, bytes{48'000'000'000}, 91.6e3, 362e3, 362e3, 864, 32, 733e3, 183e3};
  }
};

/// NVIDIA GeForce RTX 4090: 24 GB at 1,008 GB/s; 82.6 TFLOP/s fp32 and TF32, 165.2 bf16 and fp16 and 330.3 fp8 with sums in fp32; PCIe 4.0
/// x16, 64 GB/s both ways (NVIDIA Ada GPU Architecture whitepaper, 2022, appendix A).
struct rtx_4090 {
  using axis = tenon::axis::target;
  static constexpr std::string_view kind = "rtx_4090";
  static constexpr bool native_bf16 = true, native_fp16 = true;
  constexpr target_facts facts() const {
    return {device_kind::cuda, bytes{24'000'000'000}, 82.6e3, 165.2e3, 165.2e3, 1008, 32, 330.3e3, 82.6e3};
  }
};

}  // namespace tenon::target
