// docs/complaints.md: each line names tests that exist and carry its id, and no test carries an id that the page lacks.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/test.hpp"
#include "tenon/core/error.hpp"

namespace {

namespace fs = std::filesystem;

fs::path root() {
  char const* at = std::getenv("TENON_SOURCE_DIR");
  if (at == nullptr)
    throw tenon::error("TENON_SOURCE_DIR is not set; run the tests with ./tenon test, or set it to the repository");
  return at;
}
std::string read(fs::path const& file) {
  std::ifstream in(file);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

bool is_id(std::string const& word) {
  return word.size() >= 2 && std::isupper(static_cast<unsigned char>(word[0])) != 0 &&
         std::all_of(word.begin() + 1, word.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

/// The ids that a source file carries: "R1, S2: ..." at the start of a test's name, or a line "// complaint: S5".
std::set<std::string> ids_in(std::string const& text) {
  std::set<std::string> ids;
  auto const take = [&](std::size_t at, char const* end) {
    std::string const list = text.substr(at, text.find_first_of(end, at) - at);
    std::set<std::string> found;
    std::istringstream words(list);
    for (std::string word; std::getline(words, word, ',');) {
      word.erase(0, word.find_first_not_of(' '));
      if (!is_id(word)) return;
      found.insert(word);
    }
    ids.merge(found);
  };
  for (std::string_view begin : {"TEST(\"", "TEST(\n    \""})
    for (auto at = text.find(begin); at != text.npos; at = text.find(begin, at + 1)) take(at + begin.size(), ":\"");
  constexpr std::string_view mark = "// complaint: ";
  for (auto at = text.find(mark); at != text.npos; at = text.find(mark, at + 1)) take(at + mark.size(), "\n");
  return ids;
}

struct line {
  std::string id;
  std::vector<std::string> tests;
};

std::vector<line> lines_of(std::string const& page) {
  std::vector<line> all;
  std::istringstream in(page);
  for (std::string text; std::getline(in, text);) {
    if (text.size() < 4 || text.rfind("| ", 0) != 0) continue;
    line one{text.substr(2, text.find(" |", 2) - 2), {}};
    if (!is_id(one.id)) continue;
    auto at = text.rfind(" | `tests/");
    if (at == text.npos) at = text.size();
    for (auto from = text.find('`', at); from != text.npos; from = text.find('`', from + 1)) {
      auto const to = text.find('`', from + 1);
      one.tests.push_back(text.substr(from + 1, to - from - 1));
      from = to;
    }
    all.push_back(std::move(one));
  }
  return all;
}

TEST("every complaint on the page has tests that carry its id, and every id in the tests is on the page") {
  auto const lines = lines_of(read(root() / "docs" / "complaints.md"));
  EXPECT(lines.size() >= 25);
  std::set<std::string> on_page;
  for (auto const& one : lines) {
    DOCTEST_INFO("complaint " << one.id);
    EXPECT(on_page.insert(one.id).second);
    EXPECT(!one.tests.empty());
    for (auto const& test : one.tests) {
      DOCTEST_INFO("test " << test);
      EXPECT(ids_in(read(root() / test)).count(one.id) == 1);
    }
  }
  for (auto const& f : fs::recursive_directory_iterator(root() / "tests")) {
    if (f.path().extension() != ".cpp" || f.path().filename() == "complaints.cpp") continue;
    for (auto const& id : ids_in(read(f.path()))) {
      DOCTEST_INFO("id " << id << " in " << f.path().string());
      EXPECT(on_page.count(id) == 1);
    }
  }
}

TEST("ids are found where they stand, and not where something only looks like one") {
  EXPECT((ids_in("TEST(\"R1, S12: a name\") {") == std::set<std::string>{"R1", "S12"}));
  EXPECT((ids_in("TEST(\n    \"K1: a name\") {") == std::set<std::string>{"K1"}));
  EXPECT((ids_in("// complaint: S5\nint x;") == std::set<std::string>{"S5"}));
  EXPECT(ids_in("TEST(\"GPU: a name\") {").empty());
  EXPECT(ids_in("TEST(\"a name with R1 inside\") {").empty());
  EXPECT(lines_of("| R1 | x | `a` | y | `tests/a.cpp`, `tests/b.cpp` |\n| id | x |\n")[0].tests.size() == 2);
}

}  // namespace
