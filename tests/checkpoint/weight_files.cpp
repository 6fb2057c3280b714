// Weights of any layout as fp32: elements against torch's, shards and indices, fused experts, fp8 with block scales,
// and what is refused.
#include "tenon/checkpoint/weight_files.hpp"

#include <bit>
#include <cmath>
#include <fstream>

#include "golden/golden.hpp"
#include "observe/python.hpp"
#include "support/test.hpp"

using namespace tenon::checkpoint;
using tenon_test::spill;
using tenon_test::temporary_directory;

namespace {

golden const& answers() {
  static golden const g("weights");
  return g;
}

template <class Element>
std::vector<std::byte> as_bytes(std::vector<Element> const& v) {
  std::vector<std::byte> out(v.size() * sizeof(Element));
  std::memcpy(out.data(), v.data(), out.size());
  return out;
}

/// Floats with these bits; NaN stays any NaN.
void equal_bits(std::vector<float> const& have, std::string const& name) {
  auto const want = answers().integers(name);
  REQUIRE(have.size() == want.size());
  for (std::size_t i = 0; i < have.size(); ++i) {
    float const w = std::bit_cast<float>(std::int32_t(want[i]));
    DOCTEST_INFO(name << ", element " << i << ": " << have[i] << " against " << w);
    EXPECT((std::isnan(w) ? std::isnan(have[i]) : std::bit_cast<std::int32_t>(have[i]) == std::int32_t(want[i])));
  }
}

std::vector<float> widened(dtype type, std::vector<std::byte> const& bytes) {
  std::vector<float> out(bytes.size() / size_of(type));
  to_floats(type, bytes, out.data());
  return out;
}

struct string_sink {
  std::string bytes;
  void write(void const* data, std::size_t size) { bytes.append(static_cast<char const*>(data), size); }
};

/// A directory of a model, made of named vectors.
struct model_directory {
  temporary_directory at;
  std::vector<std::pair<std::string, std::vector<std::byte>>> keep;
  std::map<std::string, std::vector<tensor_view>> files;

  template <class Element>
  void add(std::string const& file, std::string const& name, dtype type, std::vector<std::int64_t> shape,
           std::vector<Element> const& values) {
    keep.emplace_back(name, as_bytes(values));
    files[file].push_back({name, type, std::move(shape), nullptr});
  }
  void write() {
    for (auto& [file, tensors] : files) {
      for (auto& t : tensors)
        for (auto const& [name, bytes] : keep)
          if (name == t.name) t.data = bytes.data();
      string_sink sink;
      write_safetensors(sink, tensors);
      spill(at.path / file, sink.bytes);
    }
  }
  void index(std::string const& text) const { spill(at.path / "model.safetensors.index.json", text); }
};

std::vector<float> counted(std::size_t n, float from) {
  std::vector<float> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = from + float(i);
  return v;
}

std::vector<float> got(weight_files& from, std::string const& name, std::vector<std::int64_t> const& shape) {
  std::size_t n = 1;
  for (auto const s : shape) n *= std::size_t(s);
  std::vector<float> out(n);
  from.read(name, shape, out.data());
  return out;
}

}  // namespace

TEST("stored elements have the values that torch gives them, bit for bit, both ways") {
  std::vector<std::uint8_t> every(256);
  for (int i = 0; i < 256; ++i) every[std::size_t(i)] = std::uint8_t(i);
  equal_bits(widened(dtype::F8_E4M3, as_bytes(every)), "e4m3");
  equal_bits(widened(dtype::F8_E5M2, as_bytes(every)), "e5m2");
  std::vector<std::int16_t> half;
  for (auto const b : answers().integers("half")) half.push_back(std::int16_t(b));
  equal_bits(widened(dtype::BF16, as_bytes(half)), "bf16");
  equal_bits(widened(dtype::F16, as_bytes(half)), "fp16");
  EXPECT((widened(dtype::F64, as_bytes(std::vector<double>{1.0 / 3, -2.5})) == std::vector<float>{1.f / 3, -2.5f}));

  std::vector<float> wide;
  for (auto const x : answers().reals("wide")) wide.push_back(float(x));
  for (auto const type : {dtype::BF16, dtype::F16}) {
    auto const* const name = type == dtype::BF16 ? "to_bf16" : "to_fp16";
    std::vector<std::byte> rounded(wide.size() * 2);
    from_floats(wide.data(), std::int64_t(wide.size()), type, rounded.data());
    auto const want = answers().integers(name);
    for (std::size_t i = 0; i < wide.size(); ++i) {
      std::int16_t have;
      std::memcpy(&have, rounded.data() + 2 * i, 2);
      DOCTEST_INFO(name << " of " << wide[i]);
      EXPECT_EQ(std::int64_t(have), want[i]);
    }
  }
}

TEST("fp8 weights are multiplied by their block scales, as torch does it") {
  model_directory d;
  std::vector<std::uint8_t> matrix;
  for (auto const b : answers().integers("block_matrix")) matrix.push_back(std::uint8_t(b));
  std::vector<float> scale;
  for (auto const x : answers().reals("block_scale")) scale.push_back(float(x));
  d.add("model.safetensors", "a.weight", dtype::F8_E4M3, {10, 15}, matrix);
  d.add("model.safetensors", "a.weight_scale_inv", dtype::F32, {3, 3}, scale);
  d.write();
  weight_files from(d.at.path);
  from.set_block(4, 6);
  auto const have = got(from, "a.weight", {10, 15});
  auto const want = answers().reals("block_product");
  for (std::size_t i = 0; i < have.size(); ++i) EXPECT_EQ(double(have[i]), want[i]);
  from.finish();

  weight_files other(d.at.path);  // blocks of 128: one scale, and there are nine
  EXPECT_THROWS_WITH(got(other, "a.weight", {10, 15}), "blocks of 128 x 128 need F32 [1, 1]");
  model_directory bare;
  bare.add("model.safetensors", "a.weight", dtype::F8_E4M3, {10, 15}, matrix);
  bare.write();
  weight_files without(bare.at.path);
  EXPECT_THROWS_WITH(got(without, "a.weight", {10, 15}), "fp8 without its block scales 'a.weight_scale_inv'");
}

TEST("one file or shards give the same weights; an index that lies is refused") {
  model_directory d;
  d.add("model-00001-of-00002.safetensors", "a", dtype::F32, {2, 3}, counted(6, 1));
  d.add("model-00002-of-00002.safetensors", "b", dtype::F32, {4}, counted(4, 10));
  d.write();
  std::string const first = "model-00001-of-00002.safetensors", second = "model-00002-of-00002.safetensors";
  d.index(R"({"metadata":{"total_size":40},"weight_map":{"a":")" + first + R"(","b":")" + second + R"("}})");
  weight_files from(d.at.path);
  EXPECT((got(from, "a", {2, 3}) == counted(6, 1)));
  EXPECT_THROWS_WITH(from.finish(), "holds 'b'");
  EXPECT((got(from, "b", {4}) == counted(4, 10)));
  from.finish();
  EXPECT_THROWS_WITH(got(from, "a", {3, 2}), "is [2, 3] and this recipe's is [3, 2]");
  EXPECT_THROWS_WITH(got(from, "c", {3, 2}), "has no tensor 'c'");

  auto const refused = [&](std::string const& index, char const* why) {
    d.index(index);
    EXPECT_THROWS_WITH(weight_files(d.at.path), why);
  };
  refused(R"({"weight_map":{"a":")" + second + R"("}})", "which does not hold it");
  refused(R"({"weight_map":{"a":")" + first + R"("}})" + " trailing", "no object 'weight_map'");
  refused(R"({"weight_map":{"a":"../elsewhere.safetensors"}})", "something other than a file beside it");
  refused(R"({"weight_map":{"a":5}})", "something other than a file beside it");
  refused(R"({"weight_map":[]})", "no object 'weight_map'");
  refused(R"({"weight_map":{"a":"absent.safetensors"}})", "absent.safetensors");
  d.add(first, "hidden", dtype::F32, {1}, counted(1, 0));
  d.write();
  refused(R"({"weight_map":{"a":")" + first + R"(","b":")" + second + R"("}})", "does not name 'hidden'");

  temporary_directory const empty;
  EXPECT_THROWS_WITH(weight_files(empty.path), "neither model.safetensors nor");
  spill(empty.path / "pytorch_model.bin", "x");
  EXPECT_THROWS_WITH(weight_files(empty.path), "pickled");
}

TEST("one expert is found in the fused layout; what a tied model repeats and old rotary tables are let pass") {
  model_directory d;
  d.add("model.safetensors", "m.experts.gate_up_proj", dtype::F32, {2, 6, 4}, counted(48, 0));
  d.add("model.safetensors", "m.experts.down_proj", dtype::F32, {2, 4, 3}, counted(24, 100));
  d.add("model.safetensors", "model.embed_tokens.weight", dtype::F32, {2, 2}, counted(4, 7));
  d.add("model.safetensors", "lm_head.weight", dtype::F32, {2, 2}, counted(4, 7));
  d.add("model.safetensors", "model.layers.0.self_attn.rotary_emb.inv_freq", dtype::F32, {2}, counted(2, 0));
  d.write();
  weight_files from(d.at.path);
  EXPECT(from.contains("m.experts.1.up_proj.weight"));
  EXPECT(!from.contains("m.experts.1.side_proj.weight"));
  EXPECT((got(from, "m.experts.0.gate_proj.weight", {3, 4}) == counted(12, 0)));
  EXPECT((got(from, "m.experts.0.up_proj.weight", {3, 4}) == counted(12, 12)));
  EXPECT((got(from, "m.experts.1.gate_proj.weight", {3, 4}) == counted(12, 24)));
  EXPECT((got(from, "m.experts.1.down_proj.weight", {4, 3}) == counted(12, 112)));
  EXPECT_THROWS_WITH(got(from, "m.experts.2.down_proj.weight", {4, 3}), "has no room for");
  EXPECT_THROWS_WITH(got(from, "m.experts.1.up_proj.weight", {4, 3}), "is [3, 4] and this recipe's is [4, 3]");
  got(from, "model.embed_tokens.weight", {2, 2});
  from.finish();

  model_directory untied;
  untied.add("model.safetensors", "model.embed_tokens.weight", dtype::F32, {2, 2}, counted(4, 7));
  untied.add("model.safetensors", "lm_head.weight", dtype::F32, {2, 2}, counted(4, 8));
  untied.write();
  weight_files other(untied.at.path);
  got(other, "model.embed_tokens.weight", {2, 2});
  EXPECT_THROWS_WITH(other.finish(), "holds 'lm_head.weight'");

  model_directory more;
  more.add("model.safetensors", "model.layers.1.a", dtype::F32, {1}, counted(1, 0));
  more.add("model.safetensors", "model.layers.2.a", dtype::F32, {1}, counted(1, 0));
  more.add("model.safetensors", "model.layers.3.a", dtype::F32, {1}, counted(1, 0));
  more.write();
  weight_files beside(more.at.path);
  got(beside, "model.layers.1.a", {1});
  beside.further_layers(2, 1);
  EXPECT_THROWS_WITH(beside.finish(), "holds 'model.layers.3.a'");
  beside.further_layers(2, 2);
  beside.finish();
  EXPECT_EQ(beside.num_left_out(), 2);

  // Rotated rows that lie as halves, of two heads of 1 + 4 rows and a latent of 2 + 4: row j and the j-th of the second half.
  // That transformers reads them so is asserted in tests/golden/parity.py.
  model_directory turned;
  turned.add("model.safetensors", "l.self_attn.q_proj.weight", dtype::F32, {10, 1}, counted(10, 0));
  turned.add("model.safetensors", "l.self_attn.kv_a_proj_with_mqa.weight", dtype::F32, {6, 2}, counted(12, 0));
  turned.add("model.safetensors", "l.self_attn.o_proj.weight", dtype::F32, {5, 1}, counted(5, 0));
  turned.write();
  weight_files as_halves(turned.at.path);
  as_halves.rotated_halves(5, 4);
  EXPECT((got(as_halves, "l.self_attn.q_proj.weight", {10, 1}) == std::vector<float>{0, 1, 3, 2, 4, 5, 6, 8, 7, 9}));
  EXPECT((got(as_halves, "l.self_attn.kv_a_proj_with_mqa.weight", {6, 2}) ==
          std::vector<float>{0, 1, 2, 3, 4, 5, 8, 9, 6, 7, 10, 11}));
  EXPECT((got(as_halves, "l.self_attn.o_proj.weight", {5, 1}) == counted(5, 0)));

  // A layer of multi-token prediction that is read repeats the model's embedding and head, and nothing else.
  for (bool const same : {true, false}) {
    model_directory modules;
    modules.add("model.safetensors", "model.embed_tokens.weight", dtype::F32, {2, 2}, counted(4, 7));
    modules.add("model.safetensors", "lm_head.weight", dtype::F32, {2, 2}, counted(4, 8));
    modules.add("model.safetensors", "model.layers.1.enorm.weight", dtype::F32, {2}, counted(2, 9));
    modules.add("model.safetensors", "model.layers.1.embed_tokens.weight", dtype::F32, {2, 2}, counted(4, 7));
    modules.add("model.safetensors", "model.layers.1.shared_head.head.weight", dtype::F32, {2, 2},
                counted(4, same ? 8 : 9));
    modules.write();
    weight_files files(modules.at.path);
    files.further_layers(1, 2);
    EXPECT(!files.starts_anew("model.layers.1.hnorm.weight"));
    EXPECT(files.starts_anew("model.layers.2.hnorm.weight"));
    EXPECT(!files.starts_anew("model.layers.0.hnorm.weight"));
    got(files, "model.embed_tokens.weight", {2, 2}), got(files, "lm_head.weight", {2, 2});
    files.finish();  // of a layer that is left out nothing is asked
    EXPECT_EQ(files.num_left_out(), 3);
    got(files, "model.layers.1.enorm.weight", {2});
    EXPECT_EQ(files.num_left_out(), 0);
    if (same)
      files.finish();
    else
      EXPECT_THROWS_WITH(files.finish(), "model.layers.1.shared_head.head.weight' with other values than the model's own");
  }

  model_directory numbers;
  numbers.add("model.safetensors", "a", dtype::I32, {2}, std::vector<std::int32_t>{1, 2});
  numbers.write();
  weight_files integers(numbers.at.path);
  EXPECT_THROWS_WITH(got(integers, "a", {2}), "is of type I32");
}
