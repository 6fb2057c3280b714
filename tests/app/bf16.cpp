#include "support/program.hpp"

using namespace app_test;

namespace {
inline constexpr auto tiny_bf16 = tiny.with(precision::bf16{.emulated = true});
}  // namespace

TEST("killed and resumed ends with the same bytes as straight through: bf16") { killed_equals_straight<tiny_bf16>(); }
