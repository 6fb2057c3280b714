// What README.md, docs/*.md and examples/README.md show is true: every block of C++ or CMake is part of a file that is
// compiled, every compiler's sentence is one that the rules say, every exit code and every file that they name exists.
//
// A block must be, apart from its indentation, one of
//   * a marked region of a file under tests/, include/ or cmake/new/: // [name] ... // [/name] (or // [name] again), or
//     // docs: begin ... // docs: end; regions of one name in one file make one block, in their order;
//   * lines that follow each other in a file under examples/.
// A block with the placeholder argument "..." (after a comma, before a comma or a bracket) is an outline and no code.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "support/test.hpp"
#include "tenon/app/interrupt.hpp"
#include "tenon/core/error.hpp"
#include "tenon/recipe.hpp"

namespace {

namespace fs = std::filesystem;
using lines = std::vector<std::string>;

fs::path root() {
  char const* at = std::getenv("TENON_SOURCE_DIR");
  if (at == nullptr)
    throw tenon::error("TENON_SOURCE_DIR is not set; run the tests with ./tenon test, or set it to the repository");
  return at;
}

lines read(fs::path const& file) {
  std::ifstream in(file);
  if (!in) throw tenon::error("'" + file.string() + "' could not be read; is TENON_SOURCE_DIR the repository?");
  lines all;
  for (std::string line; std::getline(in, line);) all.push_back(line.substr(0, line.find_last_not_of(" \r") + 1));
  return all;
}

std::string joined(lines const& l) {
  std::string all;
  for (auto const& line : l) all += line + "\n";
  return all;
}

std::string trimmed(std::string const& line) {
  auto const first = line.find_first_not_of(' ');
  return first == line.npos ? "" : line.substr(first);
}

/// Without the indentation that all lines share, and without empty lines at both ends.
lines dedented(lines l) {
  while (!l.empty() && l.back().empty()) l.pop_back();
  while (!l.empty() && l.front().empty()) l.erase(l.begin());
  std::size_t least = std::string::npos;
  for (auto const& line : l)
    if (!line.empty()) least = std::min(least, line.find_first_not_of(' '));
  for (auto& line : l) line = line.empty() ? line : line.substr(least);
  return l;
}

struct block {
  std::string where;  ///< page and line, for messages
  std::string language;
  lines text;
};

std::vector<fs::path> pages() {
  std::vector<fs::path> all{root() / "README.md", root() / "examples" / "README.md"};
  for (auto const& f : fs::directory_iterator(root() / "docs"))
    if (f.path().extension() == ".md") all.push_back(f.path());
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<block> blocks_of(fs::path const& page) {
  std::vector<block> all;
  bool inside = false;
  int number = 0;
  for (auto const& line : read(page)) {
    ++number;
    if (line.rfind("```", 0) != 0) {
      if (inside) all.back().text.push_back(line);
      continue;
    }
    inside = !inside;
    if (inside) all.push_back({fs::relative(page, root()).string() + ":" + std::to_string(number), line.substr(3), {}});
  }
  if (inside) throw tenon::error(all.back().where + " opens a block that is never closed");
  return all;
}

/// The marked regions of a file. Throws for one that is not closed, or closed under another name.
std::vector<lines> regions_of(fs::path const& file) {
  std::map<std::string, lines> found;
  std::string open;
  lines part;
  for (auto const& line : read(file)) {
    auto const text = trimmed(line);
    bool const old_begin = text == "// docs: begin", old_end = text == "// docs: end";
    bool const mark = text.rfind("// [", 0) == 0 && text.back() == ']' && text.find(' ', 4) == text.npos;
    if (open.empty() && (old_begin || (mark && text[4] != '/'))) {
      open = old_begin ? "docs" : text.substr(4, text.size() - 5);
      part.clear();
    } else if (!open.empty() && (old_end || text == "// [/" + open + "]" || text == "// [" + open + "]")) {
      for (auto const& l : dedented(part)) found[open].push_back(l);
      open.clear();
    } else if (mark || old_begin || old_end) {
      throw tenon::error(file.string() + " has the mark '" + text + "' in the wrong place");
    } else if (!open.empty()) {
      part.push_back(line);
    }
  }
  if (!open.empty()) throw tenon::error(file.string() + " opens the region '" + open + "' and does not close it");
  std::vector<lines> all;
  for (auto& [name, text] : found) all.push_back(dedented(text));
  return all;
}

bool is_source(fs::path const& p) {
  auto const e = p.extension();
  return e == ".cpp" || e == ".hpp" || e == ".cuh" || p.filename() == "CMakeLists.txt";
}

std::vector<fs::path> sources_under(char const* folder) {
  std::vector<fs::path> all;
  for (auto const& f : fs::recursive_directory_iterator(root() / folder))
    if (f.is_regular_file() && is_source(f.path())) all.push_back(f.path());
  std::sort(all.begin(), all.end());
  return all;
}

/// Whether `part` stands in `whole` as lines that follow each other, indented alike.
bool contains(lines const& whole, lines const& part) {
  for (std::size_t at = 0; at + part.size() <= whole.size(); ++at) {
    if (trimmed(whole[at]) != trimmed(part[0])) continue;
    if (dedented({whole.begin() + std::ptrdiff_t(at), whole.begin() + std::ptrdiff_t(at + part.size())}) == part)
      return true;
  }
  return false;
}

/// Whether a block leaves something out on purpose. A pack's "..." follows or precedes a name, a placeholder does not.
bool is_outline(lines const& text) {
  return std::any_of(text.begin(), text.end(), [](std::string const& line) {
    return line.find(", ...,") != line.npos || line.find(", ...)") != line.npos;
  });
}

struct compiled {
  std::vector<lines> regions, examples;
  compiled() {
    for (auto const* folder : {"tests", "include", "cmake/new"})
      for (auto const& f : sources_under(folder))
        for (auto& r : regions_of(f)) regions.push_back(std::move(r));
    for (auto const& f : sources_under("examples")) examples.push_back(read(f));
  }
  bool has(lines const& text) const {
    if (text.empty()) return false;
    auto const same = [&](lines const& r) { return r == text; };
    auto const within = [&](lines const& e) { return contains(e, text); };
    return std::any_of(regions.begin(), regions.end(), same) || std::any_of(examples.begin(), examples.end(), within);
  }
};

}  // namespace

TEST("every block of C++ or CMake on a page is compiled somewhere") {
  compiled const all;
  int checked = 0;
  for (auto const& page : pages())
    for (auto const& b : blocks_of(page)) {
      if (b.language != "cpp" && b.language != "c++" && b.language != "cmake") continue;
      auto const text = dedented(b.text);
      if (is_outline(text)) continue;
      ++checked;
      DOCTEST_INFO(b.where << " is no marked region of a compiled file (see the top of tests/docs/pages.cpp):\n"
                           << joined(text));
      EXPECT(all.has(text));
    }
  EXPECT(checked >= 6);
}

TEST("every region of tests/docs/snippets.cpp is on a page") {
  std::vector<lines> shown;
  for (auto const& page : pages())
    for (auto const& b : blocks_of(page)) shown.push_back(dedented(b.text));
  auto const regions = regions_of(root() / "tests" / "docs" / "snippets.cpp");
  EXPECT(!regions.empty());
  for (auto const& r : regions) {
    DOCTEST_INFO("no page shows\n" << joined(r));
    EXPECT(std::find(shown.begin(), shown.end(), r) != shown.end());
  }
}

TEST("the check itself notices a block that nobody compiles, and a mark that is wrong") {
  compiled const all;
  EXPECT(!all.has({"int f() { return 1; }"}));
  EXPECT(!all.has({}));
  EXPECT(contains({"a", "  b", "    c", "d"}, {"b", "  c"}));
  EXPECT(!contains({"a", "  b", "  c", "d"}, {"b", "  c"}));
  EXPECT(!contains({"a"}, {"a", "b"}));
  EXPECT(is_outline({"void f(int, ...);"}));
  EXPECT(!is_outline({"template <class... A> void f(A... a) { g(a...); }"}));
  auto const file = fs::temp_directory_path() / "tenon-docs-marks.cpp";
  std::ofstream(file) << "// [one]\nint x;\n// [/two]\n";
  EXPECT_THROWS_WITH(regions_of(file), "in the wrong place");
  std::ofstream(file) << "// [one]\nint x;\n";
  EXPECT_THROWS_WITH(regions_of(file), "does not close it");
  fs::remove(file);
}

TEST("the compiler's messages on README.md are the rules' own sentences") {
  auto const page = joined(read(root() / "README.md"));
  EXPECT(page.find(tenon::rules::warmup_within_horizon::sentence) != page.npos);
  EXPECT(page.find(tenon::rules::heads_divide_hidden::sentence) != page.npos);
}

TEST("the exit codes on the pages are the program's") {
  using tenon::app::exit_code;
  auto const code = [](exit_code c, char const* meaning) {
    return "| " + std::to_string(static_cast<int>(c)) + " | " + meaning;
  };
  for (auto const* page : {"README.md", "docs/getting-started.md"}) {
    auto const text = joined(read(root() / page));
    DOCTEST_INFO(page);
    for (auto const& row :
         {code(exit_code::done, "done"), code(exit_code::failed, "failed"), code(exit_code::refused, "refused"),
          code(exit_code::interrupted, "interrupted"), code(exit_code::at_once, "left at once")}) {
      DOCTEST_INFO(row);
      EXPECT(text.find(row) != text.npos);
    }
  }
}

TEST("every relative link on a page leads to a file") {
  int links = 0;
  for (auto const& page : pages()) {
    auto const text = joined(read(page));
    for (auto at = text.find("]("); at != text.npos; at = text.find("](", at + 1)) {
      auto const end = text.find(')', at);
      auto target = text.substr(at + 2, end - at - 2);
      if (end == text.npos || target.find("://") != target.npos || target.find(' ') != target.npos) continue;
      target = target.substr(0, target.find('#'));
      if (target.empty()) continue;
      ++links;
      DOCTEST_INFO(page.string() << " links to " << target);
      EXPECT(fs::exists(page.parent_path() / target));
    }
  }
  EXPECT(links >= 5);
}
