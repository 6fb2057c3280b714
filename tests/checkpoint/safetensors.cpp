#include "tenon/checkpoint/safetensors.hpp"

#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <utility>

#include "observe/python.hpp"
#include "support/test.hpp"

using namespace tenon::checkpoint;
using tenon_test::run_python;
using tenon_test::slurp;
using tenon_test::spill;
using tenon_test::temporary_directory;

namespace {

struct string_sink {
  std::string bytes;
  void write(void const* data, std::size_t size) { bytes.append(static_cast<char const*>(data), size); }
};

std::string framed(std::string const& header, std::string const& data = "") {
  std::uint64_t const size = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &size, 8);
  return file + header + data;
}

safetensors_header parse(std::string const& file) {
  return parse_safetensors({reinterpret_cast<std::byte const*>(file.data()), file.size()}, "a.safetensors");
}

std::string entry(std::string const& name, std::string const& rest) { return "\"" + name + "\":{" + rest + "}"; }

struct bad_file {
  std::string name, bytes, why;
};

std::vector<bad_file> bad_files() {
  std::string const four(4, 'x');
  auto const f32 = [](std::string const& name, std::string const& shape, std::string const& offsets) {
    return entry(name, "\"dtype\":\"F32\",\"shape\":" + shape + ",\"data_offsets\":" + offsets);
  };
  std::string claims_much = framed("{}");
  claims_much[7] = '\x7f';
  std::string over_limit = framed("{}") + std::string(64, ' ');
  std::uint64_t const limit = 100'000'001;
  std::memcpy(over_limit.data(), &limit, 8);
  std::string beyond_file = framed("{}");
  beyond_file[0] = 3;
  return {
      {"empty", "", "0 bytes, fewer than the 8"},
      {"seven_bytes", "1234567", "7 bytes, fewer than the 8"},
      {"header_huge", claims_much, "above the limit of 100 MB"},
      {"header_over_limit", over_limit, "above the limit of 100 MB"},
      {"header_beyond_file", beyond_file, "claims more bytes than the file has"},
      {"no_header", framed(""), "does not begin with '{'"},
      {"byte_order_mark", framed("\xEF\xBB\xBF{}"), "does not begin with '{'"},
      {"an_array", framed("[]"), "does not begin with '{'"},
      {"not_json", framed("{\"a\":"), "not JSON"},
      {"two_values", framed("{} {}"), "not JSON"},
      {"zero_padding", framed(std::string("{}\0\0", 4)), "other than spaces"},
      {"bad_utf8", framed("{" + f32("a\xff", "[1]", "[0,4]") + "}", four), "not JSON in UTF-8"},
      {"half_surrogate", framed("{" + f32("a\\ud800", "[1]", "[0,4]") + "}", four), "not JSON in UTF-8"},
      {"metadata_number", framed("{\"__metadata__\":{\"a\":1}}"),
       "__metadata__ may hold strings only, and 'a' is a number"},
      {"metadata_null", framed("{\"__metadata__\":{\"a\":null}}"), "'a' is null"},
      {"metadata_object", framed("{\"__metadata__\":{\"a\":{}}}"), "'a' is an object"},
      {"metadata_string", framed("{\"__metadata__\":\"pt\"}"), "instead of an object"},
      {"metadata_list", framed("{\"__metadata__\":[]}"), "instead of an object"},
      {"first_not_zero", framed("{" + f32("a", "[1]", "[4,8]") + "}", four + four), "leaves a hole"},
      {"hole", framed("{" + f32("a", "[1]", "[0,4]") + "," + f32("b", "[1]", "[8,12]") + "}", four + four + four),
       "leaves a hole"},
      {"overlap", framed("{" + f32("a", "[2]", "[0,8]") + "," + f32("b", "[1]", "[4,8]") + "}", four + four),
       "overlaps"},
      {"same_place", framed("{" + f32("a", "[1]", "[0,4]") + "," + f32("b", "[1]", "[0,4]") + "}", four), "overlaps"},
      {"backwards", framed("{" + f32("a", "[1]", "[4,0]") + "}", four), "ends before it begins"},
      {"too_short", framed("{" + f32("a", "[2]", "[0,4]") + "}", four), "do not fit its dtype and shape"},
      {"too_long", framed("{" + f32("a", "[1]", "[0,8]") + "}", four + four), "do not fit its dtype and shape"},
      {"zero_dimension", framed("{" + f32("a", "[0]", "[0,4]") + "}", four), "do not fit its dtype and shape"},
      {"overflow", framed("{" + f32("a", "[9223372036854775808,2]", "[0,0]") + "}"), "beyond 2^63"},
      {"overflow_product", framed("{" + f32("a", "[4294967296,4294967296]", "[0,0]") + "}"), "product overflows"},
      {"overflow_bytes", framed("{" + f32("a", "[4611686018427387904,1]", "[0,0]") + "}"), "product overflows"},
      {"overflow_number", framed("{" + f32("a", "[18446744073709551616]", "[0,0]") + "}"), "not a 64-bit integer"},
      {"beyond_data", framed("{" + f32("a", "[2]", "[0,8]") + "}", four), "beyond the end of the file"},
      {"trailing", framed("{" + f32("a", "[1]", "[0,4]") + "}", four + "!"), "1 bytes follow the last tensor"},
      {"trailing_empty", framed("{}", "PK"), "2 bytes follow the last tensor"},
      {"unknown_dtype", framed("{" + entry("a", R"("dtype":"F33","shape":[1],"data_offsets":[0,4])") + "}", four),
       "dtype 'F33'"},
      {"negative_offset", framed("{" + f32("a", "[1]", "[-4,0]") + "}", four), "a negative number"},
      {"negative_shape", framed("{" + f32("a", "[-1]", "[0,4]") + "}", four), "a negative number"},
      {"fraction", framed("{" + f32("a", "[1.0]", "[0,4]") + "}", four), "not a 64-bit integer"},
      {"one_offset", framed("{" + f32("a", "[1]", "[0]") + "}", four), "exactly two"},
      {"three_offsets", framed("{" + f32("a", "[1]", "[0,4,4]") + "}", four), "more than two"},
      {"shape_number", framed("{" + f32("a", "1", "[0,4]") + "}", four), "a number"},
      {"shape_nested", framed("{" + f32("a", "[[1]]", "[0,4]") + "}", four), "an array"},
      {"dtype_number", framed("{" + entry("a", R"("dtype":1,"shape":[1],"data_offsets":[0,4])") + "}", four),
       "a number"},
      {"no_dtype", framed("{" + entry("a", R"("shape":[1],"data_offsets":[0,4])") + "}", four), "lacks 'dtype'"},
      {"no_shape", framed("{" + entry("a", R"("dtype":"F32","data_offsets":[0,4])") + "}", four), "lacks 'shape'"},
      {"no_offsets", framed("{" + entry("a", R"("dtype":"F32","shape":[1])") + "}", four), "lacks 'data_offsets'"},
      {"tensor_null", framed("{\"a\":null}"), "is null instead of an object"},
      {"deep", framed("{\"a\":" + std::string(100'000, '[')), "an array instead of an object"},
  };
}

// Broken by the text of the format, but its reference library takes them.
std::vector<bad_file> stricter_than_reference() {
  std::string const four(4, 'x');
  std::string const a = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  std::string many;
  for (int i = 0; i < 65; ++i) many += i ? ",1" : "1";
  return {
      {"leading_space", framed(" {}"), "does not begin with '{'"},
      {"same_name", framed("{" + a + "," + a + "}", four), "gives 'a' twice"},
      {"same_metadata", framed(R"({"__metadata__":{"k":"1","k":"2"}})"), "gives 'k' twice"},
      {"same_key", framed(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", four),
       "gives 'dtype' twice"},
      {"extra_key", framed(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"stride":"1"}})", four),
       "unknown key 'stride'"},
      {"newline_padding", framed("{" + a + "}\n", four), "other than spaces"},
      {"rank_65", framed("{\"a\":{\"dtype\":\"F32\",\"shape\":[" + many + "],\"data_offsets\":[0,4]}}", four),
       "more than 64"},
      {"four_bits", framed(R"({"a":{"dtype":"F4","shape":[8],"data_offsets":[0,4]}})", four), "dtype 'F4'"},
  };
}

}  // namespace

TEST("every broken file of the table is refused with its reason, and by the reference library too") {
  temporary_directory const folder;
  for (auto const& bad : bad_files()) {
    DOCTEST_CAPTURE(bad.name);
    EXPECT_THROWS_WITH(parse(bad.bytes), bad.why);
    EXPECT_THROWS_WITH(parse(bad.bytes), "'a.safetensors'");
    auto const file = folder.path / (bad.name + ".safetensors");
    spill(file, bad.bytes);
    EXPECT_THROWS_WITH(safetensors_file(file), file.string());
  }
  std::string const accepted = run_python(R"(
import glob, sys
from safetensors import safe_open
files = sorted(glob.glob(sys.argv[1] + '/*.safetensors'))
taken = []
for f in files:
    try:
        with safe_open(f, framework='np') as s: list(s.keys())
        taken.append(f.rsplit('/', 1)[1])
    except Exception: pass
print(len(files), taken)
)",
                                          folder.path);
  EXPECT_EQ(accepted, std::to_string(bad_files().size()) + " []\n");
}

TEST("files that break the text of the format are refused even where the reference library is lenient") {
  for (auto const& bad : stricter_than_reference()) {
    DOCTEST_CAPTURE(bad.name);
    EXPECT_THROWS_WITH(parse(bad.bytes), bad.why);
  }
}

TEST("legal oddities are taken: rank 0, zero sizes, no tensors, padding, any order, unaligned data") {
  EXPECT_EQ(parse(framed("{}")).tensors.size(), 0u);
  EXPECT_EQ(parse(framed("{}      ")).tensors.size(), 0u);
  auto const header = parse(framed(
      R"({"b":{"shape":[],"data_offsets":[1,5],"dtype":"F32"},"e":{"dtype":"F32","shape":[3,0],"data_offsets":[1,1]},"a":{"dtype":"U8","shape":[1,1],"data_offsets":[0,1]},"__metadata__":{"k":"v"}} )",
      "01234"));
  REQUIRE(header.tensors.size() == 3u);
  EXPECT_EQ(header.tensors[0].name, "a");
  EXPECT_EQ(header.tensors[1].name, "e");
  EXPECT_EQ(header.tensors[2].name, "b");
  EXPECT_EQ(header.tensors[2].end - header.tensors[2].begin, 4u);
  EXPECT_EQ(header.metadata.at("k"), "v");
}

TEST("what is not a file is refused in a sentence") {
  temporary_directory const folder;
  EXPECT_THROWS_WITH(safetensors_file(folder.path), "Is a directory");
  EXPECT_THROWS_WITH(safetensors_file(folder.path / "none"), "No such file");
}

TEST("our file equals the reference writer's byte for byte, and both readers agree on it") {
  temporary_directory const folder;
  std::vector<float> const f32{1.5f, -2.0f, 3.25f, 0.0f, 1e-38f, 7.0f};
  std::vector<double> const f64{3.141592653589793};
  std::vector<std::int64_t> const i64{-1, 1ll << 40};
  std::vector<std::int32_t> const i32{-5, 6, 7};
  std::vector<std::uint16_t> const half{0x3C00, 0xC000}, bf16{0x3F80, 0x4000, 0x4040};
  std::vector<std::uint8_t> const bytes{1, 2, 3};
  std::vector<std::uint64_t> const u64{~0ull};
  std::vector<tensor_view> const tensors{
      {"u8", dtype::U8, {3}, bytes.data()},       {"z.f32", dtype::F32, {2, 3}, f32.data()},
      {"a.f32", dtype::F32, {1}, f32.data() + 2}, {"f64", dtype::F64, {}, f64.data()},
      {"i64", dtype::I64, {2}, i64.data()},       {"i32", dtype::I32, {3, 1}, i32.data()},
      {"f16", dtype::F16, {2}, half.data()},      {"u64", dtype::U64, {1}, u64.data()},
      {"empty", dtype::F32, {0, 4}, nullptr},     {"na\"m\xC3\xA9", dtype::U8, {1}, bytes.data()},
      {"bf16", dtype::BF16, {3}, bf16.data()}};
  string_sink sink;
  auto const checksums = write_safetensors(sink, tensors);
  spill(folder.path / "ours.safetensors", sink.bytes);
  string_sink plain;  // numpy has no bfloat16
  write_safetensors(plain, {tensors.begin(), tensors.end() - 1});
  spill(folder.path / "plain.safetensors", plain.bytes);
  std::string const printed = run_python(R"(
import sys, numpy as np
from safetensors import safe_open, serialize_file
d = sys.argv[1]
with safe_open(d + '/ours.safetensors', framework='np') as s:
    print(s.metadata(), len(list(s.keys())))
    names = [k for k in s.keys() if k != 'bf16']
    for k in sorted(names):
        t = s.get_tensor(k); print(ascii(k), t.dtype, list(t.shape), t.reshape(-1).tolist())
from safetensors.numpy import save_file
with safe_open(d + '/plain.safetensors', framework='np') as s:
    save_file({k: s.get_tensor(k) for k in reversed(sorted(s.keys()))}, d + '/theirs.safetensors', metadata={'format': 'pt'})
)",
                                         folder.path);
  EXPECT_EQ(printed,
            "{'format': 'pt'} 11\n"
            "'a.f32' float32 [1] [3.25]\n"
            "'empty' float32 [0, 4] []\n"
            "'f16' float16 [2] [1.0, -2.0]\n"
            "'f64' float64 [] [3.141592653589793]\n"
            "'i32' int32 [3, 1] [-5, 6, 7]\n"
            "'i64' int64 [2] [-1, 1099511627776]\n"
            "'na\"m\\xe9' uint8 [1] [1]\n"
            "'u64' uint64 [1] [18446744073709551615]\n"
            "'u8' uint8 [3] [1, 2, 3]\n"
            "'z.f32' float32 [2, 3] [1.5, -2.0, 3.25, 0.0, 9.999999350456404e-39, 7.0]\n");
  EXPECT(slurp(folder.path / "theirs.safetensors") == plain.bytes);

  safetensors_file const file(folder.path / "ours.safetensors");
  EXPECT_EQ(file.tensors().size(), tensors.size());
  EXPECT_EQ(file.metadata().at("format"), "pt");
  for (auto const& tensor : tensors) {
    DOCTEST_CAPTURE(tensor.name);
    auto const& stored = file.at(tensor.name);
    EXPECT(stored.type == tensor.type);
    EXPECT(stored.shape == tensor.shape);
    EXPECT_EQ(stored.bytes.size(), *bytes_of(tensor.type, tensor.shape));
    EXPECT(std::equal(stored.bytes.begin(), stored.bytes.end(), static_cast<std::byte const*>(tensor.data)));
    EXPECT_EQ(checksums.at(tensor.name), hex_of(tenon::crc32c(tensor.data, stored.bytes.size())));
  }
  EXPECT_EQ((reinterpret_cast<std::uintptr_t>(file.at("i64").bytes.data()) & 7), 0u);
  EXPECT_THROWS_WITH(file.at("lm_head.weight"), "has no tensor 'lm_head.weight'");
}

TEST("the writer refuses what no reader would take") {
  float const value = 1;
  string_sink sink;
  auto const write = [&](std::vector<tensor_view> tensors, tensor_metadata metadata = {}) {
    return write_safetensors(sink, std::move(tensors), metadata);
  };
  EXPECT_THROWS_WITH(write({{"a", dtype::F32, {1}, &value}, {"a", dtype::F32, {1}, &value}}),
                     "two tensors are named 'a'");
  EXPECT_THROWS_WITH(write({{"a", dtype::F32, {1}, &value}, {"a", dtype::U8, {1}, &value}}),
                     "two tensors are named 'a'");
  EXPECT_THROWS_WITH(write({{"__metadata__", dtype::F32, {1}, &value}}), "'__metadata__' cannot be the name");
  EXPECT_THROWS_WITH(write({{"a", dtype::F32, {-1}, &value}}), "negative or overflowing");
  EXPECT_THROWS_WITH(write({{"a", dtype::F32, {1ll << 62, 4}, &value}}), "negative or overflowing");
  EXPECT_THROWS_WITH(write({{"a", dtype::F32, {1}, nullptr}}), "has no data");
  EXPECT_THROWS_WITH(write({{"a\xff", dtype::F32, {1}, &value}}), "not valid UTF-8");
  EXPECT_THROWS_WITH(write({}, {{"k", "\xff"}}), "not valid UTF-8");
  EXPECT(sink.bytes.empty());
  write({{"a", dtype::F32, {1}, &value}}, {{"format", "np"}, {"note", "x"}});
  EXPECT_EQ(parse(sink.bytes).metadata.at("format"), "np");
}

TEST("arbitrary damage to a small file is refused or read within bounds") {
  std::vector<float> const values(8, 1.0f);
  string_sink sink;
  write_safetensors(sink, {{"a", dtype::F32, {2, 2}, values.data()}, {"b", dtype::BF16, {8}, values.data()}});
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = sink.bytes;
    for (int edits = 1 + static_cast<int>(random() % 3); edits > 0; --edits) {
      std::size_t const place = random() % damaged.size();
      if (random() % 4 == 0)
        damaged.erase(place, 1 + random() % 3);
      else if (random() % 4 == 0)
        damaged.insert(place, 1, static_cast<char>(random()));
      else
        damaged[place] = static_cast<char>(random());
    }
    try {
      for (auto const& tensor : parse(damaged).tensors) REQUIRE(tensor.end <= damaged.size());
    } catch (tenon::error const&) {
      ++refused;
    }
  }
  EXPECT(refused > 10'000);
}
