#include "tenon/data/source.hpp"

#include <string>
#include <vector>

#include "data/python.hpp"
#include "support/test.hpp"

namespace {
using namespace tenon::data;
using tenon_test::scratch;

struct outcome {
  report r;
  std::vector<document> documents;
  std::vector<std::string> texts() const {
    std::vector<std::string> t;
    for (auto const& d : documents) t.push_back(d.text);
    return t;
  }
  std::string issue(std::size_t i = 0) const { return i < r.issues.size() ? r.issues[i].text() : "(none)"; }
};
outcome read(source_options o, double lone_tail = 0) {
  outcome out;
  source const s(std::move(o));
  s.read(out.r, lone_tail, [&](document&& d) { out.documents.push_back(std::move(d)); });
  return out;
}
using list = std::vector<std::string>;

TEST("a directory is read recursively, by name; hidden, binary and other files are counted") {
  scratch d;
  d.file("b.txt", "two");
  d.file("a/z.h", "one");
  d.file("c.bin", std::string("x\0y", 3));
  d.file(".hidden", "no");
  d.file(".git/config", "no");
  d.file("skip/me.txt", "no");
  d.file("empty.txt", "");
  auto out = read({.paths = {d.path.string()}, .exclude = {"skip/"}});
  EXPECT(out.texts() == list{"one", "two"});
  EXPECT_EQ(out.r.other_files, 3);  // .hidden, skip/me.txt, c.bin; hidden directories are not entered
  EXPECT_EQ(out.r.empty, 1);
  EXPECT_EQ(out.r.bad, 0);
  EXPECT_EQ(out.r.files, 3);
  out = read({.paths = {d.path.string()}, .extensions = {".h"}});
  EXPECT(out.texts() == list{"one"});
}

TEST("paths keep the order they are given in; a binary file that was named is bad") {
  scratch d;
  auto const a = d.file("a.txt", "A"), b = d.file("b.txt", "B"), c = d.file("c.dat", std::string("\x80\0", 2));
  auto const out = read({.paths = {b, a, c}});
  EXPECT(out.texts() == list{"B", "A"});
  EXPECT_EQ(out.issue(), c + ":1: not UTF-8 (byte 0x80)");
}

TEST("nothing to read is refused at once") {
  scratch d;
  EXPECT_THROWS_WITH(source({}), "no data");
  EXPECT_THROWS_WITH(source({.paths = {d.path.string()}}), "no files in " + d.path.string());
  EXPECT_THROWS_WITH(source({.paths = {(d.path / "gone").string()}}),
                     "no file or directory " + (d.path / "gone").string());
  EXPECT_THROWS_WITH(source({.paths = {"/dev/null"}}), "neither a file nor a directory");
  d.file("x.txt", "x");
  EXPECT_THROWS_WITH(source({.paths = {d.path.string()}, .extensions = {".md"}}), "with extension .md");
}

TEST("JSONL: records, fields, and every kind of bad line with file, line and reason") {
  scratch d;
  std::string deep(200, '[');
  auto const f = d.file("x.jsonl",
                        "{\"text\": \"one\", \"id\": 1, \"more\": {\"text\": \"inner\"}}\r\n"  // 1
                        "\n"                                                                   // 2 blank
                        "{\"text\": \"two\"\n"                                                 // 3 malformed
                        "{\"body\": \"x\"}\n"                                                  // 4 no field
                        "{\"text\": 5}\n"                                                      // 5 type
                        "[1, 2]\n"                                                             // 6 not an object
                        "{\"text\": \"bad \xff\"}\n"                                           // 7 UTF-8
                        "{\"text\": \"a\", \"text\": \"b\"}\n"                                 // 8 twice
                        "{\"text\": \"\"}\n"                                                   // 9 empty
                        "{\"text\": \"\\ud800\"}\n"                                            // 10 lone surrogate
                        "{\"text\": \"x\", \"y\": " +
                            deep +
                            "\n"                                     // 11 depth
                            "{\"text\": \"x\"} {\"text\": \"y\"}\n"  // 12 two records
                            "{\"text\": \"t\\u00e4il\"}");           // 13 no newline at the end
  auto const out = read({.paths = {f}});
  EXPECT(out.texts() == list{"one", "täil"});
  EXPECT_EQ(out.r.blank_lines, 1);
  EXPECT_EQ(out.r.empty, 1);
  EXPECT_EQ(out.r.bad, 9);
  char const* const reasons[] = {":3: malformed JSON",
                                 ":4: the record has no field \"text\"",
                                 ":5: field \"text\" is a number, not a string",
                                 ":6: the record is not a JSON object",
                                 ":7: not UTF-8 (byte 14 of the line)",
                                 ":8: field \"text\" occurs twice",
                                 ":10: malformed JSON",
                                 ":11: the record is nested",
                                 ":12: malformed JSON"};
  for (std::size_t i = 0; i < 9; ++i) {
    DOCTEST_INFO(out.issue(i));
    EXPECT_EQ(out.issue(i).rfind(f + reasons[i], 0), 0u);
  }
  EXPECT_THROWS_WITH(read({.paths = {f}, .bad = on_bad::stop}), f + ":3: malformed JSON");
}

TEST("JSONL: another text field, and difficulty") {
  scratch d;
  auto const f = d.file("x.ndjson",
                        "{\"body\": \"a\", \"level\": 2}\n{\"level\": -0.5, \"body\": \"b\"}\n{\"body\": "
                        "\"c\"}\n{\"body\": \"d\", \"level\": \"3\"}\n{\"body\": \"e\", \"level\": 1e300}\n");
  auto const out = read({.paths = {f}, .text_field = "body", .difficulty_field = "level"});
  EXPECT(out.texts() == list{"a", "b"});
  EXPECT_EQ(out.documents[0].difficulty, 2.0f);
  EXPECT_EQ(out.documents[1].difficulty, -0.5f);
  EXPECT_EQ(out.issue(0), f + ":3: the record has no field \"level\"");
  EXPECT_EQ(out.issue(1), f + ":4: field \"level\" is a string, not a number");
  EXPECT_EQ(out.issue(2), f + ":5: field \"level\" is too large");
}

TEST("JSONL: an endless line is left out in bounded memory, and the lines around it are kept") {
  scratch d;
  auto const f = d.file("x.jsonl", "{\"text\": \"before\"}\n{\"text\": \"" + std::string(5 << 20, 'x') +
                                       "\"}\n{\"text\": \"after\"}\n" + std::string(3 << 20, 'y'));
  auto const out = read({.paths = {f}, .max_document = 100'000});
  EXPECT(out.texts() == list{"before", "after"});
  EXPECT_EQ(out.r.bad, 2);
  EXPECT_EQ(out.issue(0), f + ":2: a line longer than 100000 bytes");
  EXPECT_EQ(out.issue(1), f + ":4: a line longer than 100000 bytes");
  EXPECT_EQ(out.r.bad_bytes, (5 << 20) + 12 + (3 << 20));
}

TEST("text: a long file is cut at line ends, a long line is left out, and no byte is unaccounted for") {
  scratch d;
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "line " + std::to_string(i) + "\n";
  auto const f = d.file("x.txt", text);
  auto out = read({.paths = {f}, .max_document = 500});
  std::string joined;
  for (auto const& t : out.texts()) {
    EXPECT(t.size() <= 500);
    EXPECT_EQ(t.back(), '\n');
    joined += t;
  }
  EXPECT(joined == text);
  EXPECT_EQ(out.r.cut, std::int64_t(out.documents.size()));

  for (std::size_t limit : {64u, 100u, 499u, 500u, 501u}) {
    auto const g = d.file("y.txt", "start\n" + std::string(500, 'z') + "\nmiddle\n" + std::string(700, 'q'));
    out = read({.paths = {g}, .max_document = std::int64_t(limit)});
    std::int64_t kept = 0;
    for (auto const& t : out.texts()) kept += std::int64_t(t.size());
    DOCTEST_INFO("limit " << limit << " " << out.r.text());
    EXPECT_EQ(kept + out.r.bad_bytes, 6 + 501 + 7 + 700);
    EXPECT(out.texts().front() == "start\n");
    EXPECT(out.r.bad >= 1);
  }
  for (std::int64_t limit : {64, 65}) {  // a file of exactly the limit is one document
    auto const g = d.file("z.txt", std::string(32, 'a') + "\n" + std::string(31, 'b'));
    EXPECT_EQ(read({.paths = {g}, .max_document = limit}).documents.size(), 1u);
  }
}

TEST("text: bad UTF-8 is reported with its line") {
  scratch d;
  auto const f = d.file("x.txt", "fine\nfine\nbad \xC3( here\n"), g = d.file("y.txt", "good");
  auto const out = read({.paths = {f, g}});
  EXPECT(out.texts() == list{"good"});
  EXPECT_EQ(out.issue(), f + ":3: not UTF-8 (byte 0xC3)");
  EXPECT_THROWS_WITH(read({.paths = {f, g}, .bad = on_bad::stop}), f + ":3: not UTF-8");
}

TEST("a file that vanishes between listing and reading is reported") {
  scratch d;
  auto const f = d.file("x.txt", "x"), g = d.file("y.txt", "y");
  source const s({.paths = {d.path.string()}});
  std::filesystem::remove(f);
  report r;
  list texts;
  s.read(r, 0, [&](document&& doc) { texts.push_back(doc.text); });
  EXPECT(texts == list{"y"});
  EXPECT_EQ(r.issues.at(0).text(), f + ": the file vanished between listing and reading");
}

TEST("a lone text file is cut in two at a line end, so that its tail can be held out") {
  scratch d;
  std::string text;
  for (int i = 0; i < 100; ++i) text += "line " + std::to_string(i) + "\n";
  auto out = read({.paths = {d.file("x.txt", text)}}, 0.1);
  REQUIRE(out.documents.size() == 2);
  EXPECT_EQ(out.documents[0].side, 0);
  EXPECT_EQ(out.documents[1].side, 1);
  EXPECT(out.documents[0].text + out.documents[1].text == text);
  EXPECT_EQ(out.documents[0].text.back(), '\n');
  EXPECT(double(out.documents[1].text.size()) > 0.08 * double(text.size()));
  EXPECT(double(out.documents[1].text.size()) < 0.15 * double(text.size()));
  out = read({.paths = {d.file("x.txt", "ééééé")}}, 0.1);  // no line end: at a character
  REQUIRE(out.documents.size() == 2);
  EXPECT_EQ(out.documents[0].text, "éééé");
}

}  // namespace
