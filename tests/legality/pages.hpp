#pragma once
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "legality/matrix.hpp"

/// The pages that are printed from the rules: docs/rules.md, docs/legality.md and docs/legality.json.
namespace legality {

namespace fs = std::filesystem;

inline fs::path root() {
  char const* at = std::getenv("TENON_SOURCE_DIR");
  if (at == nullptr)
    throw tn::error("TENON_SOURCE_DIR is not set; run the tests with ./tenon test, or set it to the repository");
  return at;
}
inline std::string read(fs::path const& file) {
  std::ifstream in(file);
  if (!in) throw tn::error("'" + file.string() + "' could not be read; is TENON_SOURCE_DIR the repository?");
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}
inline std::vector<std::string> lines_of(std::string const& text) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

/// 69'120 as "69,120".
inline std::string grouped(std::int64_t n) {
  std::string s = std::to_string(n);
  for (auto at = static_cast<std::ptrdiff_t>(s.size()) - 3; at > 0; at -= 3)
    s.insert(static_cast<std::size_t>(at), ",");
  return s;
}

/// The wrong and the right lines of a file of tests/compile_fail/, as a diff; empty where there is no such file.
inline std::string example_of(std::string const& id) {
  auto file = root() / "tests" / "compile_fail" / (id + ".cpp");
  if (!fs::exists(file)) file = file.parent_path() / "train" / file.filename();
  if (!fs::exists(file)) return {};
  std::string wrong, right, *into = nullptr;
  for (auto const& line : lines_of(read(file))) {
    if (line == "#ifdef FIXED")
      into = &right;
    else if (line == "#ifndef FIXED")
      into = &wrong;
    else if (line == "#else" && into != nullptr)
      into = into == &right ? &wrong : &right;
    else if (line == "#endif")
      into = nullptr;
    else if (into != nullptr)
      *into += (into == &right ? "+ " : "- ") + line.substr(std::min(line.size(), line.find_first_not_of(' '))) + "\n";
  }
  return "```diff\n" + wrong + right + "```\n";
}

/// A sentence without "[tenon.id] ".
inline std::string said(std::string_view sentence) {
  auto const words = sentence.substr(sentence.find(']') + 2);
  std::string text;
  bool code = false;
  for (char const c : words) {
    code = code != (c == '`');
    if (!code && (c == '<' || c == '*')) text += '\\';  // else a page would take it for a mark
    text += c;
  }
  if (words.substr(0, words.find(' ')).find('.') == words.npos)  // not the path of a field
    text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text.back() == '.' || text.back() == ';' ? text : text + ".";
}

inline char const* title_of(tn::rules::layer l) {
  using tn::rules::layer;
  switch (l) {
    case layer::form:
      return "Form: what `recipe(...)`, `.with(...)` and `.edit(...)` are given";
    case layer::contract:
      return "Contract: what a policy of your own must have";
    case layer::shape:
      return "Shape: which policies and sizes go together";
    case layer::numbers:
      return "Numbers: values, asked again after the command line has changed some";
    case layer::plan:
      return "Plan: `static_assert(tenon::fits<my_recipe>)`, and every launch";
    case layer::launch:
      return "Launch: what only the start of the run knows";
  }
  return "";
}

/// A rule as its page shows it.
struct described_rule {
  std::string id, sentence, reads;
  tn::rules::layer when;
  std::string example = {};  ///< of the rule itself; else there is a file
};

template <class Rule>
described_rule describe_rule() {
  described_rule d{std::string(tn::rules::id_of<Rule>), std::string(Rule::sentence), {}, tn::rules::layer_of<Rule>};
  [&]<class... Axes>(tn::rules::list<Axes...>) {
    ((d.reads += (d.reads.empty() ? "" : ", ") + std::string(Axes::name)), ...);
  }(typename Rule::reads{});
  if constexpr (requires { Rule::example; }) d.example = "```diff\n" + std::string(Rule::example) + "```\n";
  return d;
}
inline std::vector<described_rule> all_rules() {
  std::vector<described_rule> all;
  auto const add = [&](described_rule const& d) {
    for (auto& other : all)
      if (other.id == d.id) {  // one rule for each of several axes
        other.reads += ", " + d.reads;
        return;
      }
    all.push_back(d);
  };
  [&]<class... Rules>(tn::rules::list<Rules...>) { (add(describe_rule<Rules>()), ...); }(tn::rules::all_rules{});
  return all;
}

/// Sentences of static_asserts outside of recipe/rules/: what the engine says where its types are known.
inline std::vector<described_rule> engine_sentences() {
  std::vector<described_rule> all;
  auto const known = all_rules();
  std::vector<fs::path> files;
  for (auto const& f : fs::recursive_directory_iterator(root() / "include"))
    if (f.path().extension() == ".hpp" && f.path().parent_path().filename() != "rules") files.push_back(f.path());
  std::sort(files.begin(), files.end());
  for (auto const& f : files) {
    auto const text = read(f);
    for (auto at = text.find("\"[tenon."); at != text.npos; at = text.find("\"[tenon.", at + 1)) {
      std::string sentence;
      for (auto from = at; text[from] == '"';) {  // neighbouring literals are one
        auto end = from + 1;
        while (text[end] != '"') end += text[end] == '\\' ? 2 : 1;
        sentence += text.substr(from + 1, end - from - 1);
        from = text.find_first_not_of(" \n", end + 1);
      }
      auto const close = sentence.find(']');
      if (close == sentence.npos) continue;
      std::string const id = sentence.substr(7, close - 7);
      auto const same = [&](described_rule const& d) { return d.id == id; };
      if (std::none_of(known.begin(), known.end(), same) && std::none_of(all.begin(), all.end(), same))
        all.push_back({id, sentence, fs::relative(f, root()).string(), tn::rules::layer::shape});
    }
  }
  return all;
}

inline std::string rules_page() {
  auto const rules = all_rules();
  auto const engine = engine_sentences();
  std::string page =
      "# Rules\n\n"
      "Every rule that a recipe is held to: the sentence that the compiler says (and the program, where the command "
      "line\n"
      "broke it), and an example, wrong line and right, out of the file that tests the message. A rule is asked only "
      "where\n"
      "the layers before its own hold, so one mistake gives one sentence. The axes are those that it may read; it is\n"
      "compiled without the others.\n\n"
      "This page is printed from the rules themselves and from `tests/compile_fail/`; `./tenon test legality` fails "
      "when it\n"
      "is stale and `./tenon test legality --update` writes it anew. What fits with what: [legality](legality.md).\n\n";
  page += std::to_string(rules.size()) + " rules of recipes, " + std::to_string(engine.size()) +
          " sentences of the engine.\n";
  using tn::rules::layer;
  for (auto l : {layer::form, layer::contract, layer::shape, layer::numbers, layer::plan, layer::launch}) {
    bool first = true;
    for (auto const& d : rules) {
      if (d.when != l) continue;
      if (first) page += "\n## " + std::string(title_of(l)) + "\n";
      first = false;
      page += "\n### " + d.id + "\n\n" + said(d.sentence) + "\n";
      if (!d.reads.empty()) page += "\nReads: " + d.reads + ".\n";
      if (auto const e = d.example.empty() ? example_of(d.id) : d.example; !e.empty()) page += "\n" + e;
    }
  }
  page += "\n## Engine: what is known once layers, optimizer and state are types\n";
  for (auto const& d : engine) {
    page += "\n### " + d.id + "\n\n" + said(d.sentence) + "\n\nSaid by `" + d.reads + "`.\n";
    if (auto const e = example_of(d.id); !e.empty()) page += "\n" + e;
  }
  return page;
}

/// "`a`, `b` with `c`, `d`; `e` with `c`": values of an axis that are refused with the same others stand together.
inline std::string joined(std::vector<std::vector<std::string>> const& all, std::size_t axis = 0) {
  std::vector<std::pair<std::string, std::string>> groups;  // values of this axis, what they are refused with
  for (std::size_t i = 0; i < all.size();) {
    std::vector<std::vector<std::string>> same;
    auto const& value = all[i][axis];
    for (; i < all.size() && all[i][axis] == value; ++i) same.push_back(all[i]);
    auto const rest = axis + 1 < same[0].size() ? joined(same, axis + 1) : std::string{};
    auto const found = std::find_if(groups.begin(), groups.end(), [&](auto const& g) { return g.second == rest; });
    if (found == groups.end())
      groups.push_back({"`" + value + "`", rest});
    else
      found->first += ", `" + value + "`";
  }
  std::string text;
  for (auto const& [values, rest] : groups)
    text += (text.empty() ? "" : "; ") + values + (rest.empty() ? "" : " with " + rest);
  return axis > 0 && groups.size() > 1 ? "(" + text + ")" : text;
}

inline std::string legality_page(matrix const& m) {
  std::string page =
      "# What fits with what\n\n"
      "Every choice of policies for all sixteen axes, judged by the predicates that the compiler uses: no LibTorch, "
      "no\n"
      "recipe is compiled for it. Printed by the tests, with the same counts in [legality.json](legality.json);\n"
      "`./tenon test legality` fails when this page is stale and `./tenon test legality --update` writes it anew.\n\n";
  page += "**" + grouped(m.combinations) + " combinations, " + grouped(m.legal) + " legal, " +
          grouped(m.combinations - m.legal) +
          " illegal.** `target::native` counts as a machine that emulates 16-bit formats.\n\n";
  page +=
      "## What is refused\n\nEverything that is not in this table fits.\n\n"
      "| rule | refuses | combinations that it refuses | of these, as the first |\n| --- | --- | --- | --- |\n";
  for (std::size_t r = 0; r < m.rules.size(); ++r)
    if (m.refused[r] > 0)
      page += "| [" + m.rules[r].id + "](rules.md#" + m.rules[r].id + ") | " + joined(refusals(m, m.rules[r])) + " | " +
              grouped(m.refused[r]) + " | " + grouped(m.refused_first[r]) + " |\n";
  page += "\nThe other " + std::to_string(std::count(m.refused.begin(), m.refused.end(), 0)) +
          " rules hold for all of these choices: they are about numbers, and about policies of a user's own.\n\n"
          "## The choices\n\n| axis | choices |\n| --- | --- |\n";
  for (auto const& a : m.axes) {
    page += "| " + a.name + " | ";
    for (std::size_t i = 0; i < a.choices.size(); ++i) page += (i > 0 ? ", `" : "`") + a.choices[i] + "`";
    page += " |\n";
  }
  return page;
}

/// The same for programs. Written by hand: keys in a fixed order, one refusal a line.
inline std::string legality_json(matrix const& m) {
  std::string j = "{\n  \"combinations\": " + std::to_string(m.combinations) +
                  ",\n  \"legal\": " + std::to_string(m.legal) + ",\n  \"axes\": {\n";
  for (std::size_t a = 0; a < m.axes.size(); ++a) {
    j += "    \"" + m.axes[a].name + "\": [";
    for (std::size_t i = 0; i < m.axes[a].choices.size(); ++i)
      j += (i > 0 ? ", \"" : "\"") + m.axes[a].choices[i] + "\"";
    j += a + 1 < m.axes.size() ? "],\n" : "]\n";
  }
  j += "  },\n  \"rules\": [\n";
  for (std::size_t r = 0; r < m.rules.size(); ++r) {
    auto const& rule = m.rules[r];
    j += "    {\"id\": \"" + rule.id + "\", \"reads\": [";
    for (std::size_t i = 0; i < rule.axes.size(); ++i) j += (i > 0 ? ", \"" : "\"") + m.axes[rule.axes[i]].name + "\"";
    j += "], \"refused\": " + std::to_string(m.refused[r]) +
         ", \"refused_first\": " + std::to_string(m.refused_first[r]) + ", \"refuses\": [";
    bool first = true;
    for (auto const& one : refusals(m, rule)) {
      j += first ? "\n      {" : ",\n      {";
      for (std::size_t i = 0; i < one.size(); ++i)
        j += (i > 0 ? ", \"" : "\"") + m.axes[rule.axes[i]].name + "\": \"" + one[i] + "\"";
      j += "}", first = false;
    }
    j += r + 1 < m.rules.size() ? "]},\n" : "]}\n";
  }
  return j + "  ]\n}\n";
}

/// Whether docs/NAME is what was printed now. With TENON_UPDATE_DOCS=1 it is written instead.
inline bool up_to_date(std::string const& name, std::string const& now) {
  auto const file = root() / "docs" / name;
  if (char const* update = std::getenv("TENON_UPDATE_DOCS"); update != nullptr && std::string_view(update) == "1") {
    if (fs::exists(file) && read(file) == now) return true;
    std::ofstream(file) << now;
  }
  return fs::exists(file) && read(file) == now;
}

}  // namespace legality
