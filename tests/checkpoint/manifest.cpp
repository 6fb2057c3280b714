#include "tenon/checkpoint/manifest.hpp"

#include <limits>

#include "support/test.hpp"

using namespace tenon::checkpoint;

namespace {
manifest full() {
  manifest m;
  m.step = 1000;
  m.tokens_consumed = 1ll << 41;
  m.cursor = {1, 2, 3};
  m.digests = {"aa", "bb", "cc"};
  m.recipe_fields = {{"schedule.peak", "0.0003"}, {"model.hidden", "512"}};
  m.recipe = {{"schedule", {{"peak", 3e-4}, {"kind", "warmup_cosine"}}}, {"list", {1, nullptr, true}}};
  m.changes = {{40, "schedule.peak", "0.0003", "0.0005"}};
  m.random.seed = std::numeric_limits<std::uint64_t>::max();
  m.scaler = scaler_state{65536.0, 17};
  m.dtypes = {{"parameter", "bf16"}, {"master", "f32"}};
  m.machine = {"avx512", "mkl 2024", 2, 1, "2.13.0", "g++ 12.2", "dd"};
  m.data_fingerprint = "ee";
  m.tokenizer_sha256 = "ff";
  m.parent_step = 900;
  m.saved_at = "2026-01-02T03:04:05Z";
  m.seconds_trained = 0.1;
  m.files["model.safetensors"] = {12, "00", {{"w", "deadbeef"}}};
  return m;
}
}  // namespace

TEST("a manifest survives its text, with and without the optional parts") {
  for (manifest const& m : {full(), manifest{}}) {
    auto body = checked_manifest_body(manifest_text(m));
    REQUIRE(body.has_value());
    EXPECT(manifest_from_json(*body, "m") == m);
  }
}

TEST("every key that is missing is named, at every depth") {
  auto const body = to_json(full());
  auto const without = [&](nlohmann::json::json_pointer const& parent, std::string const& key) {
    auto copy = body;
    copy[parent].erase(key);
    return copy;
  };
  for (auto const& [key, value] : body.items())
    EXPECT_THROWS_WITH(manifest_from_json(without(nlohmann::json::json_pointer(""), key), "m.json"),
                       "key '" + key + "'");
  for (std::string const object : {"cursor", "digests", "random", "scaler", "machine"})
    for (auto const& [key, value] : body[object].items())
      EXPECT_THROWS_WITH(manifest_from_json(without(nlohmann::json::json_pointer("/" + object), key), "m.json"),
                         "'m.json': key '" + object + "." + key + "' is missing");
  EXPECT_THROWS_WITH(manifest_from_json(without(nlohmann::json::json_pointer("/changes/0"), "after"), "m"),
                     "'changes.0.after' is missing");
  EXPECT_THROWS_WITH(manifest_from_json(without(nlohmann::json::json_pointer("/files/model.safetensors"), "size"), "m"),
                     "'files.model.safetensors.size' is missing");
}

TEST("unknown keys and wrong kinds are errors that name the key") {
  auto const broken = [](char const* pointer, nlohmann::json value) {
    auto body = to_json(full());
    body[nlohmann::json::json_pointer(pointer)] = std::move(value);
    return manifest_from_json(body, "m");
  };
  EXPECT_THROWS_WITH(broken("/colour", 1), "key 'colour' is not known");
  EXPECT_THROWS_WITH(broken("/machine/gpu", 1), "key 'machine.gpu' is not known");
  EXPECT_THROWS_WITH(broken("/step", "1"), "key 'step' must be a whole number");
  EXPECT_THROWS_WITH(broken("/step", 1.5), "key 'step' must be a whole number");
  EXPECT_THROWS_WITH(broken("/step", 1ull << 63), "key 'step' must be a whole number");
  EXPECT_THROWS_WITH(broken("/random/seed", -1), "key 'random.seed' must be a whole number, not negative");
  EXPECT_THROWS_WITH(broken("/cursor", nullptr), "key 'cursor' must be an object");
  EXPECT_THROWS_WITH(broken("/scaler", 1), "key 'scaler' must be an object");
  EXPECT_THROWS_WITH(broken("/scaler/scale", "1"), "key 'scaler.scale' must be a number");
  EXPECT_THROWS_WITH(broken("/recipe_fields/0", {"a"}), "key 'recipe_fields.0' must be a pair");
  EXPECT_THROWS_WITH(broken("/changes", 1), "key 'changes' must be a list");
  EXPECT_THROWS_WITH(broken("/dtypes/master", 4), "key 'dtypes.master' must be a string");
  EXPECT_THROWS_WITH(broken("/schema", 9), "has schema 9 and this build reads 1");
  EXPECT_THROWS_WITH(manifest_from_json(nlohmann::json::array(), "m"), "no key 'schema'");
}

TEST("what JSON cannot hold is refused when writing") {
  manifest m = full();
  m.scaler->scale = std::numeric_limits<double>::infinity();
  EXPECT_THROWS_WITH(manifest_text(m), "'scale' is not a finite number");
  m = full();
  m.tokenizer_sha256 = "\xff";
  EXPECT_THROWS_WITH(manifest_text(m), "not valid UTF-8");
}

TEST("every flipped bit, every cut and any reformatting of the text is noticed") {
  std::string const text = manifest_text(full());
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string damaged = text;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT(!checked_manifest_body(damaged));
  }
  for (std::size_t size = 0; size < text.size(); ++size) EXPECT(!checked_manifest_body(text.substr(0, size)));
  EXPECT(!checked_manifest_body(text + " "));
  EXPECT(!checked_manifest_body(nlohmann::json::parse(text).dump()));
}
