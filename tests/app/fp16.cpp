#include "support/program.hpp"

using namespace app_test;

namespace {
inline constexpr auto tiny_fp16 =
    tiny.with(precision::fp16{.emulated = true, .initial_scale = 1e9});  // overflows at first
}  // namespace

TEST("killed and resumed ends with the same bytes as straight through: fp16 with overflows") {
  killed_equals_straight<tiny_fp16>();
}
