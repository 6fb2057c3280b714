#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/data/chat/evaluate.hpp"

/// Chat templates: the part of Jinja that published templates of the DeepSeek family use, with the settings that
/// transformers gives it (trim_blocks, lstrip_blocks, break and continue, tojson, raise_exception, generation blocks).
namespace tenon::data::chat {

/// A piece of a template, with its expression and what it holds inside.
struct statement {
  enum class what { text, print, set, when, loop, leave, again, answer } kind = what::text;
  std::string text = {};              ///< of `text`; the name that `set` or the loop gives a value
  std::string attribute = {};         ///< of `set ns.x`; the second name of a loop over pairs
  expression value = {};              ///< what is printed, set, asked or looped over
  std::vector<statement> body = {};   ///< of `when`, `loop`, `answer`; of `set` without a value
  std::vector<statement> other = {};  ///< else
};

/// Cuts a template and parses it.
class template_parser {
 public:
  explicit template_parser(std::string_view text) {
    cut(text);
    all_ = block({});
  }
  std::vector<statement> take() { return std::move(all_); }
  bool marks_answers() const { return marks_; }

 private:
  struct piece {
    char kind;  ///< 't' text, '{' print, '%' statement
    std::string text;
  };
  [[noreturn]] static void fail(std::string const& why) {
    throw error("the chat template " + why + "; only a part of Jinja is understood");
  }

  void cut(std::string_view text) {
    bool drop_blank = false, drop_newline = false;  // what the tag before does to the text behind it
    auto const add_text = [&](std::string_view t, bool drop_end, bool to_line) {
      std::string s(t);
      if (drop_newline && s.starts_with('\n')) s.erase(0, 1), at_line_start_ = true;
      if (drop_blank) s.erase(0, std::min(s.find_first_not_of(" \t\n\r\f\v"), s.size()));
      if (drop_end) {
        auto const last = s.find_last_not_of(" \t\n\r\f\v");
        s.erase(last == s.npos ? 0 : last + 1);
      } else if (to_line) {  // lstrip_blocks: blanks before a tag that begins its line
        auto const last = s.find_last_not_of(" \t");
        if (last == s.npos ? at_line_start_ : s[last] == '\n') s.erase(last == s.npos ? 0 : last + 1);
      }
      if (!t.empty()) at_line_start_ = t.back() == '\n';
      if (!s.empty()) pieces_.push_back({'t', s});
    };
    while (true) {
      std::size_t open = text.npos;
      for (std::string_view const mark : {"{{", "{%", "{#"}) open = std::min(open, text.find(mark));
      if (open == text.npos) return add_text(text, false, false);
      char const kind = text[open + 1];
      auto inside = open + 2;
      bool const minus = inside < text.size() && text[inside] == '-',
                 plus = inside < text.size() && text[inside] == '+';
      inside += minus || plus;
      add_text(text.substr(0, open), minus, kind != '{' && !plus);
      auto const close = end_of(text, inside, kind);
      char const mark_behind = close > inside ? text[close - 1] : ' ';
      bool const minus_behind = mark_behind == '-', plus_behind = mark_behind == '+' && kind == '%';
      if (kind != '#')
        pieces_.push_back(
            {kind, std::string(text.substr(inside, close - (minus_behind || plus_behind ? 1 : 0) - inside))});
      drop_blank = minus_behind, drop_newline = kind != '{' && !plus_behind;
      at_line_start_ = false;
      text.remove_prefix(close + 2);
    }
  }
  // Where the tag that began before `at` closes; texts inside of it may hold anything.
  static std::size_t end_of(std::string_view text, std::size_t at, char kind) {
    char const first = kind == '{' ? '}' : kind;
    char quote = 0;
    int open = 0;  // dictionaries
    for (; at + 1 < text.size(); ++at) {
      char const c = text[at];
      if (kind != '#' && quote != 0) {
        if (c == '\\')
          ++at;
        else if (c == quote)
          quote = 0;
      } else if (kind != '#' && (c == '\'' || c == '"')) {
        quote = c;
      } else if (kind != '#' && c == '{') {
        ++open;
      } else if (kind != '#' && c == '}' && open > 0) {
        --open;
      } else if (c == first && text[at + 1] == '}') {
        return at;
      }
    }
    fail(std::string("has a {") + kind + " without its end");
  }

  // Statements up to one whose first word is among `ends`, which is left in end_.
  std::vector<statement> block(std::vector<std::string> const& ends) {
    std::vector<statement> all;
    for (; next_ < pieces_.size(); ++next_) {
      auto const& p = pieces_[next_];
      if (p.kind == 't') {
        all.push_back({statement::what::text, p.text});
        continue;
      }
      expression_parser in(p.text);
      if (p.kind == '{') {
        all.push_back({statement::what::print, "", "", in.whole()});
        continue;
      }
      auto const word = in.name();
      if (std::find(ends.begin(), ends.end(), word) != ends.end()) {
        end_ = word;
        return all;
      }
      ++next_;
      tag(word, in, all);
    }
    if (!ends.empty()) fail("lacks an " + ends.back());
    return all;
  }
  // One statement whose first word has been read; leaves next_ at its last piece.
  void tag(std::string const& word, expression_parser& in, std::vector<statement>& all) {
    if (word == "if") {
      all.push_back(condition(in));
    } else if (word == "for") {
      statement s{statement::what::loop, in.name()};
      if (in.word(",")) s.attribute = in.name();
      if (!in.word("in")) in.fail("lacks 'in'");
      s.value = in.whole();
      s.body = block({"else", "endfor"});
      if (end_ == "else") ++next_, s.other = block({"endfor"});
      all.push_back(std::move(s));
    } else if (word == "set") {
      statement s{statement::what::set, in.name()};
      if (in.word(".")) s.attribute = in.name();
      if (in.word("=")) {
        s.value = in.whole();
        --next_;
      } else {
        if (!in.at_end()) in.fail("is not understood");
        s.body = block({"endset"});
        s.kind = statement::what::set;
        s.value.text = "block";
      }
      all.push_back(std::move(s));
    } else if (word == "break" || word == "continue") {
      all.push_back({word == "break" ? statement::what::leave : statement::what::again});
      --next_;
    } else if (word == "generation") {  // marks the assistant's words
      if (!in.at_end()) in.fail("is not understood");
      statement s{statement::what::answer};
      s.body = block({"endgeneration"});
      all.push_back(std::move(s));
      marks_ = true;
    } else {
      fail("has the statement '" + word + "'");
    }
  }
  statement condition(expression_parser& in) {
    statement s{statement::what::when};
    s.value = in.whole();
    s.body = block({"elif", "else", "endif"});
    if (end_ == "elif") {
      expression_parser next(pieces_[next_].text);
      next.name();
      ++next_;
      s.other.push_back(condition(next));
    } else if (end_ == "else") {
      ++next_;
      s.other = block({"endif"});
    }
    return s;
  }

  std::vector<piece> pieces_;
  std::vector<statement> all_;
  std::size_t next_ = 0;
  std::string end_;
  bool at_line_start_ = true, marks_ = false;
};

/// A run of bytes [first, last) of a text.
struct byte_range {
  std::size_t first, last;
  friend bool operator==(byte_range const&, byte_range const&) = default;
};

/// A parsed chat template. Immutable; rendering is a function of the names given.
class chat_template {
 public:
  /// Errors: a template outside of the subset, by what it uses.
  explicit chat_template(std::string_view text)
      : chat_template(template_parser(text.ends_with('\n') ? text.substr(0, text.size() - 1) : text)) {}

  /// Whether it says which of its text the assistant says ({% generation %}).
  bool marks_answers() const { return marks_; }

  /// The text of a conversation. `names`: an object with messages, add_generation_prompt, bos_token, eos_token and
  /// whatever else the template reads. Errors: refused_messages where the template raises; what has no answer.
  /// `answers`: gets what lies inside of {% generation %}, in order, empty ones too.
  std::string render(json const& names, std::vector<byte_range>* answers = nullptr) const {
    scopes s;
    for (auto const& [name, v] : names.items()) s.set(name, {v});
    std::string out;
    run(all_, s, out, answers);
    return out;
  }

 private:
  enum class flow { on, leave, again };

  explicit chat_template(template_parser&& p) : all_(p.take()), marks_(p.marks_answers()) {}

  static flow run(std::vector<statement> const& all, scopes& names, std::string& out,
                  std::vector<byte_range>* answers) {
    using what = statement::what;
    evaluator const evaluate(names);
    for (auto const& s : all) {
      flow f = flow::on;
      switch (s.kind) {
        case what::text:
          out += s.text;
          break;
        case what::print:
          out += text_of(evaluate(s.value));
          break;
        case what::set:
          set(s, names);
          break;
        case what::when:
          f = run(truth(evaluate(s.value)) ? s.body : s.other, names, out, answers);
          break;
        case what::loop:
          f = loop(s, names, out, answers);
          break;
        case what::answer: {
          auto const first = out.size();
          f = run(s.body, names, out, nullptr);
          if (answers != nullptr) answers->push_back({first, out.size()});
          break;
        }
        case what::leave:
          return flow::leave;
        case what::again:
          return flow::again;
      }
      if (f != flow::on) return f;
    }
    return flow::on;
  }
  static void set(statement const& s, scopes& names) {
    value v;
    if (s.value.text == "block" && s.value.kind == expression::what::literal) {
      std::string text;
      run(s.body, names, text, nullptr);
      v.at = text;
    } else {
      v = evaluator(names)(s.value);
    }
    if (s.attribute.empty()) return names.set(s.text, std::move(v));
    auto* const space = names.find(s.text);
    if (space == nullptr || !space->at.is_object())
      throw error("the chat template sets " + s.text + "." + s.attribute + ", and " + s.text + " is no namespace");
    space->at[s.attribute] = v.at;
  }
  static flow loop(statement const& s, scopes& names, std::string& out, std::vector<byte_range>* answers) {
    auto const over = evaluator(names)(s.value);
    json const list = over.at.is_object() ? keys(over.at) : over.at;
    if (over.defined && !list.is_array())
      throw error("the chat template loops over " + text_of(over.at, true).substr(0, 40));
    auto const n = over.defined ? list.size() : 0;
    if (n == 0) return run(s.other, names, out, answers);
    for (std::size_t i = 0; i < n; ++i) {
      names.push();
      if (s.attribute.empty()) {
        names.set(s.text, {list[i]});
      } else {
        if (!list[i].is_array() || list[i].size() != 2)
          throw error("the chat template loops over pairs, and there is " + text_of(list[i], true).substr(0, 40));
        names.set(s.text, {list[i][0]}), names.set(s.attribute, {list[i][1]});
      }
      json at{{"index", i + 1}, {"index0", i},       {"first", i == 0},       {"last", i + 1 == n},
              {"length", n},    {"revindex", n - i}, {"revindex0", n - i - 1}};
      if (i > 0) at["previtem"] = list[i - 1];
      if (i + 1 < n) at["nextitem"] = list[i + 1];
      names.set("loop", {at});
      auto const f = run(s.body, names, out, answers);
      names.pop();
      if (f == flow::leave) break;
    }
    return flow::on;
  }
  static json keys(json const& object) {
    json all = json::array();
    for (auto const& [k, v] : object.items()) all.push_back(k);
    return all;
  }

  std::vector<statement> all_;
  bool marks_ = false;
};

}  // namespace tenon::data::chat
