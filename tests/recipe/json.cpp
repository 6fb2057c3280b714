#include "tenon/recipe/json.hpp"

#include <string>

#include "recipe/support/recipes.hpp"
#include "support/test.hpp"
#include "tenon/recipe/digests.hpp"

namespace {

namespace tn = tenon;
using namespace tenon::literals;
using recipes::tiny;
using json = nlohmann::ordered_json;

auto const staged =
    tiny.with(tn::curriculum::by_field("level", {{.until = 5_epochs, .high = 0.3}, {.until = 20_epochs}}));

TEST("a recipe survives JSON") {
  auto changed = staged.edit([](auto& r) {
    r.schedule.peak = 1.0 / 3;
    r.schedule.warmup = 2.5_percent;
    r.horizon = 123'456'789'012_tokens;
    r.checkpoint.period = 10_minutes;
    r.seed.value = 18446744073709551615u;
    r.data.text = "body";
    r.curriculum.list[0].until = 6_epochs;
  });
  auto const text = tn::to_json(changed).dump();
  auto back = staged;
  tn::from_json(json::parse(text), back);
  EXPECT(tn::differences(tn::list_fields(changed), tn::list_fields(back)).empty());
  EXPECT(tn::digests(changed) == tn::digests(back));
  EXPECT_EQ(tn::to_json(back).dump(), text);
}

TEST("a mixture survives JSON, and its weights are numbers of the run") {
  auto changed = tiny.with(tn::data::mixed({2, 1}));
  tn::set_field(changed, "data.weights.1", "0.5");
  tn::set_field(changed, "data.held_out", "0.2");
  auto const j = tn::to_json(changed);
  EXPECT(j["data"]["kind"] == "mixture");
  EXPECT(j["data"]["weights"] == json::parse("[2.0, 0.5]"));
  auto back = tiny.with(tn::data::mixed({2, 1}));
  EXPECT(tn::digests(changed).numbers != tn::digests(back).numbers);
  tn::from_json(j, back);
  EXPECT(tn::digests(changed) == tn::digests(back));
  auto three = tiny.with(tn::data::mixed({1, 1, 1}));
  EXPECT_THROWS_WITH(tn::from_json(j, three), "data.weights must be an array of 3");
}

TEST("JSON says which policy, and uses plain numbers where there is no unit") {
  auto const j = tn::to_json(tiny);
  EXPECT(j["precision"]["kind"] == "fp32");
  EXPECT(j["model"]["hidden"] == 64);
  EXPECT(j["schedule"]["peak"] == 1e-3);
  EXPECT(j["schedule"]["warmup"] == "100_steps");
  EXPECT(j["horizon"] == "1000_steps");
}

TEST("C1: what is not understood is an error, and leaves the recipe alone") {
  auto r = tiny;
  auto const refuse = [&](char const* text) { tn::from_json(json::parse(text), r); };
  EXPECT_THROWS_WITH(refuse(R"({"schedule": {"paek": 1}})"), "unknown key schedule.paek; did you mean peak?");
  EXPECT_THROWS_WITH(refuse(R"({"shedule": {}})"), "unknown axis shedule; did you mean schedule?");
  EXPECT_THROWS_WITH(refuse(R"({"schedule": {"kind": "constant"}})"), "warmup_cosine is compiled in");
  EXPECT_THROWS_WITH(refuse(R"({"model": {"hidden": 128}})"), "compiled in as 64");
  EXPECT_THROWS_WITH(refuse(R"({"schedule": {"peak": "high"}})"), "schedule.peak: \"high\" is not a number");
  EXPECT_THROWS_WITH(refuse(R"({"schedule": {"peak": [1]}})"), "no single value at schedule.peak");
  EXPECT_THROWS_WITH(refuse(R"({"schedule": 3})"), "schedule must be an object");
  EXPECT_THROWS_WITH(refuse(R"([1])"), "must be an object");
  EXPECT_THROWS_WITH(refuse(R"({"schedule": {"peak": 5e-4}, "seed": {"valu": 1}})"), "did you mean value?");
  EXPECT(r.schedule.peak == 1e-3);
  auto s = staged;
  EXPECT_THROWS_WITH(tn::from_json(json::parse(R"({"curriculum": {"list": [{}]}})"), s), "must be an array of 2");
  refuse(R"({"schedule": {"peak": 5e-4}, "model": {"hidden": 64}})");
  EXPECT(r.schedule.peak == 5e-4);
}

TEST("a list of fields survives the manifest") {
  auto const list = tn::list_fields(staged);
  auto const back = tn::fields_from_json(json::parse(tn::fields_to_json(list).dump()));
  EXPECT(back.size() == list.size());
  EXPECT(tn::differences(list, back).empty());
  for (std::size_t i = 0; i < list.size(); ++i)
    EXPECT((back[i].classification == list[i].classification && back[i].belongs_to == list[i].belongs_to &&
            back[i].choice == list[i].choice && back[i].path == list[i].path));
  EXPECT_THROWS_WITH(tn::fields_from_json(json::parse(R"([{"path": "x"}])")), "cannot be read");
}

}  // namespace
