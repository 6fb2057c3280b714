#include "tenon/recipe/json.hpp"

#include <string>

#include "recipe/support/recipes.hpp"
#include "support/test.hpp"
#include "tenon/app/describe_program.hpp"
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

/// A program as ./tenon builds it, without its output.
template <auto const& R>
int described(std::vector<char const*> a) {
  a.insert(a.begin(), "describe");
  return tn::app::describe_main<R>(int(a.size()), a.data(), {});
}
inline constexpr auto hotter = tiny.edit([](auto& r) { r.schedule.peak = 5e-4; });
inline constexpr auto narrower = tiny.replace(tn::optimizer::adamw{.moment = tn::dtype::bf16});

TEST("a description for programs has every field with class, digest and origin") {
  auto const j = tn::app::described_json(hotter);
  EXPECT_EQ(j["digests"]["numbers"], tn::digests(hotter).numbers);
  auto const fields = tn::list_fields(hotter);
  EXPECT_EQ(j["fields"].size(), fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    EXPECT_EQ(j["fields"][i]["path"], fields[i].path);
    EXPECT_EQ(j["fields"][i]["value"], fields[i].value);
  }
  auto const of = [&](std::string const& path) {
    for (auto const& f : j["fields"])
      if (f["path"] == path && f["choice"] == false) return f;
    return json{};
  };
  EXPECT_EQ(of("schedule.peak"), json({{"path", "schedule.peak"}, {"value", "5e-04"}, {"class", "trajectory"}, {"digest", "numbers"}, {"choice", false}, {"from", "set here"}}));
  EXPECT_EQ(of("model.hidden")["from"], "inherited");
  EXPECT_EQ(of("optimizer.moment"), json({{"path", "optimizer.moment"}, {"value", "fp32"}, {"class", "fixed"}, {"digest", "identity"}, {"choice", false}, {"from", "default"}}));
  auto const text = tn::app::describe_text(hotter);
  EXPECT(text.find("schedule.peak") != text.npos);
  EXPECT(text.find("layout   " + tn::digests(hotter).layout) != text.npos);
}

TEST("the difference of two recipes, and what it means for a checkpoint") {
  auto const numbers = tn::diff(tiny, hotter), identity = tn::diff(tiny, narrower);
  EXPECT_EQ(tn::app::differences_json(numbers), json::parse(R"([{"path": "schedule.peak", "before": "0.001", "after": "5e-04", "digest": "numbers"}])"));
  EXPECT(tn::app::diff_text(numbers).find("where --change names each field of numbers") != std::string::npos);
  EXPECT(tn::app::diff_text(identity).find("needs a tenon::migration") != std::string::npos);
  EXPECT_EQ(tn::app::diff_text(tn::diff(tiny, tiny)), "the recipes are the same\n");
  char const *none[] = {"diff"}, *odd[] = {"diff", "--jsno"};
  EXPECT_EQ((tn::app::diff_main<tiny, tiny>(1, none)), 0);
  EXPECT_EQ((tn::app::diff_main<tiny, hotter>(1, none)), 1);
  EXPECT_EQ((tn::app::diff_main<tiny, hotter>(2, odd)), 2);
}

TEST("the command line of a description: what is not understood, or breaks a rule, is an error") {
  EXPECT_EQ(described<hotter>({"--schedule.peak=1e-3"}), 0);
  EXPECT_EQ(described<hotter>({"--json", "--markdown"}), 2);
  EXPECT_EQ(described<hotter>({"--schedule.paek=1e-3"}), 2);
  EXPECT_EQ(described<hotter>({"--schedule.peak=-1"}), 2);
}

}  // namespace
