// Chat templates against transformers' apply_chat_template (chat_oracle.py made chat_cases.json), and what is refused.
#include "data/python.hpp"
#include "live/live.hpp"
#include "support/test.hpp"
#include "tenon/data/chat/chat_template.hpp"

namespace {
using namespace tenon::data::chat;

std::filesystem::path here() { return std::filesystem::path(__FILE__).parent_path(); }

std::string rendered(std::string const& text, json const& names = json::object()) {
  return chat_template(text).render(names);
}

TEST("conversations are rendered as transformers renders them") {
  auto const cases = json::parse(tenon_test::slurp(here() / "chat_cases.json"));
  std::size_t texts = 0, refusals = 0;
  for (auto const& c : cases) {
    DOCTEST_INFO(c["template"].get<std::string>().substr(0, 120)
                 << "\n"
                 << c["names"].dump(-1, ' ', false, json::error_handler_t::replace));
    if (c.contains("error")) {
      ++refusals;
      EXPECT_THROWS_WITH(rendered(c["template"], c["names"]), "chat template");
    } else {
      ++texts;
      std::string have;
      try {
        have = rendered(c["template"], c["names"]);
      } catch (tenon::error const& e) {
        have = std::string("refused: ") + e.what();
      }
      EXPECT_EQ(have, c["text"].get<std::string>());
    }
  }
  EXPECT(texts > 70);
  EXPECT(refusals > 5);
}

TEST("live: the committed conversations are what transformers makes today" * doctest::skip(live::off())) {
  tenon_test::scratch dir;
  auto const fresh = (dir.path / "cases.json").string();
  tenon_test::python("chat_oracle.py", fresh);
  EXPECT(tenon_test::slurp(fresh) == tenon_test::slurp(here() / "chat_cases.json"));
}

TEST("what lies outside of the subset, or has no answer, is refused with a sentence") {
  EXPECT_THROWS_WITH(chat_template("{% macro f() %}x{% endmacro %}"), "the statement 'macro'");
  EXPECT_THROWS_WITH(chat_template("{% if true %}x"), "lacks an endif");
  EXPECT_THROWS_WITH(chat_template("{% for x in y %}x"), "lacks an endfor");
  EXPECT_THROWS_WITH(chat_template("{{ x"), "without its end");
  EXPECT_THROWS_WITH(chat_template("{{ 'x }}"), "without its end");
  EXPECT_THROWS_WITH(chat_template("{{ a b }}"), "ends in 'b'");
  EXPECT_THROWS_WITH(chat_template("{{ a[1:2:3] }}"), "slice with a step");
  EXPECT_THROWS_WITH(chat_template("{{ (1, 2) }}"), "tuples");
  EXPECT_THROWS_WITH(chat_template("{{ 1 < 2 < 3 }}"), "chains comparisons");
  EXPECT_THROWS_WITH(chat_template("{{ }}"), "ends too early");
  EXPECT_THROWS_WITH(rendered("{{ x | shuffle }}"), "the filter shuffle");
  EXPECT_THROWS_WITH(rendered("{{ x is prime }}"), "the test 'is prime'");
  EXPECT_THROWS_WITH(rendered("{{ x.y }}"), "'y' of something undefined");
  EXPECT_THROWS_WITH(rendered("{{ 'x'.zfill(3) }}"), "the method zfill");
  EXPECT_THROWS_WITH(rendered("{{ now() }}"), "the function now");
  EXPECT_THROWS_WITH(rendered("{{ 'x' + 1 }}"), "'+' between 'x' and 1");
  EXPECT_THROWS_WITH(rendered("{{ 1 // 0 }}"), "division by zero");
  EXPECT_THROWS_WITH(rendered("{% set x.y = 1 %}"), "no namespace");
  EXPECT_THROWS_WITH(rendered("{{ raise_exception('no') }}"), "refuses this: no");
  EXPECT_EQ(rendered("a{{ x }}b\n"), "ab");
}
}  // namespace
