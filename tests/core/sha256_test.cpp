#include "tenon/core/sha256.hpp"

#include <algorithm>
#include <string>

#include "support/test.hpp"

namespace {
using tenon::sha256;

// Expected digests: Python's hashlib.sha256. text(n) is the bytes (i * 131 + 17) mod 251 for i < n.
std::string text(std::size_t n) {
  std::string s;
  for (std::size_t i = 0; i < n; ++i) s += char((i * 131 + 17) % 251);
  return s;
}
struct golden {
  std::size_t length;
  char const* hex;
};
golden const goldens[] = {
    {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {1, "4a64a107f0cb32536e5bce6c98c393db21cca7f4ea187ba8c4dca8b51d4ea80a"},
    {55, "f28373a710817422ec4472f26c179d023807434139423e065647eef83419f198"},
    {56, "ba6726186bdfda4ab2ccfbc0ab67c6fd0eac23b1c3346671359113c03444a0d5"},
    {57, "098ca005f0dbdc72cadcf40d3be315ac7fd3615819ea3995f4458aa674a387d9"},
    {63, "744e00030506659696da48fe55b4ad8f4971ddbe7852a944a06d9db6314e047b"},
    {64, "a81749ba9ae8a4653ae231ba17cfbb12a31e773816d585e772f83ae774e63688"},
    {65, "b24532e35802f719be07c8a9b617ec9696df5222c1368c73ca6e0c81c77a7a2c"},
    {119, "5f74346d198599d25e6a54182ce84b4c09e0fb6737dd42cde0b1180da2acf2df"},
    {120, "503b3ee76a7fc1500f53d6d9b464869c8054281b56139ee484691b8d99df8c63"},
    {127, "f8769ebc9340cbf812d5286c5e94c9408027cb9d5a62dbca6196abec3a2f8cf9"},
    {128, "29898ebbe87c8c410a2d55a260bb2946b776349988f83e5431250a2033bbb7cf"},
    {129, "bd0e9ce60a93f3a4a6639d9e7fc9dddf1c05d1c6e28ff3f4af7ceb2bd7f838fd"},
    {1000, "923f4a2059e6ba733ae8e2fb7df059d79edf7ab53f4aaa9b39539208c558e197"},
    {100003, "1ef10974a87d6626edada012cdda0e6c03b48026ca47521784f98fb6af590f29"},
};

TEST("SHA-256 equals hashlib at every padding case") {
  EXPECT_EQ(sha256::hex_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  for (auto const& g : goldens) {
    DOCTEST_INFO(g.length << " bytes");
    EXPECT_EQ(sha256::hex_of(text(g.length)), g.hex);
  }
}

TEST("SHA-256 does not depend on how the bytes are cut, and can be read in between") {
  auto const s = text(1000);
  for (std::size_t step : {1, 3, 63, 64, 65, 200, 999}) {
    sha256 h;
    for (std::size_t i = 0; i < s.size(); i += step) {
      h.update(s.data() + i, std::min(step, s.size() - i));
      if (i % 5 == 0) (void)h.digest();
    }
    EXPECT_EQ(h.hex(), sha256::hex_of(s));
  }
}

TEST("SHA-256: the portable rounds and the processor's give the same state") {
  auto const s = text(64 * 37);
  std::uint32_t a[8] = {1, 2, 3, 4, 5, 6, 7, 8}, b[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  auto const* p = reinterpret_cast<std::uint8_t const*>(s.data());
  tenon::detail::sha256_blocks_portable(a, p, 37);
  tenon::detail::sha256_blocks(b, p, 37);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(a[i], b[i]);
}

}  // namespace
