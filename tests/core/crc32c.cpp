#include "tenon/core/crc32c.hpp"

#include <string>

#include "support/test.hpp"

TEST("crc32c has the published check values") {
  EXPECT_EQ(tenon::crc32c("123456789", 9), 0xE3069283u);
  EXPECT_EQ(tenon::masked_crc32c("123456789", 9), 0xC78AB0E5u);
  EXPECT_EQ(tenon::masked_crc32c("", 0), 0xA282EAD8u);
  std::uint64_t const length = 24;
  EXPECT_EQ(tenon::masked_crc32c(&length, 8), 0x224B7FA3u);
}

TEST("table and instruction agree at every length and split") {
  std::string text;
  for (int i = 0; i < 257; ++i) text += static_cast<char>(i * 37 + 11);
  auto const* bytes = reinterpret_cast<unsigned char const*>(text.data());
  for (std::size_t n = 0; n <= text.size(); ++n) {
    EXPECT_EQ(tenon::crc32c(bytes, n), ~tenon::detail::crc32c_by_table(~0u, bytes, n));
    EXPECT_EQ(tenon::crc32c(bytes + n, text.size() - n, tenon::crc32c(bytes, n)), tenon::crc32c(bytes, text.size()));
  }
}
