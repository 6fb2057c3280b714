#pragma once
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/data/chat/value.hpp"

/// Expressions of a chat template, as trees.
namespace tenon::data::chat {

/// A node. `kind` says which; `text` is a name or an operator; `at` a literal.
struct expression {
  enum class what {
    literal,     ///< at
    name,        ///< text
    list,        ///< children
    dictionary,  ///< children: key, value, key, value, ...
    attribute,   ///< children[0].text
    item,        ///< children[0][children[1]]
    slice,       ///< children[0][children[1]:children[2]]; a left-out bound is a literal null
    call,        ///< children[0](children[1...]); `names` of keyword arguments, the last of them
    filter,      ///< children[0] | text(children[1...])
    test,        ///< children[0] is text(children[1...])
    unary,       ///< text: not, -, +
    binary,      ///< text: or, and, ==, !=, <, <=, >, >=, in, not in, +, -, *, /, //, %, ~
    choice       ///< children[0] if children[1] else children[2]
  };
  what kind = what::literal;
  std::string text = {};
  json at = nullptr;
  std::vector<expression> children = {};
  std::vector<std::string> names = {};
};

/// Parses one expression out of the text between {{ and }} or in a statement. Errors: what the subset does not have.
class expression_parser {
 public:
  explicit expression_parser(std::string_view text) : text_(text) { next(); }

  expression whole() {
    auto e = ternary();
    if (!token_.empty() || is_string_) fail("ends in '" + token_ + "'");
    return e;
  }
  expression ternary() {
    auto e = disjunction();
    if (!word("if")) return e;
    auto condition = disjunction();
    expression other{.kind = expression::what::name, .text = ""};  // undefined
    if (word("else")) other = ternary();
    return make(expression::what::choice, "", {std::move(e), std::move(condition), std::move(other)});
  }
  /// The next token is this name or sign; takes it.
  bool word(std::string_view w) {
    if (is_string_ || token_ != w) return false;
    next();
    return true;
  }
  std::string name() {
    if (is_string_ || token_.empty() || !is_name_start(token_[0])) fail("lacks a name at '" + token_ + "'");
    auto n = token_;
    next();
    return n;
  }
  bool at_end() const { return token_.empty() && !is_string_; }
  [[noreturn]] void fail(std::string const& why) const {
    throw error("the chat template's \"" + std::string(text_.substr(0, 80)) + "\" " + why +
                "; only a part of Jinja is understood");
  }

 private:
  using what = expression::what;
  static expression make(what kind, std::string text, std::vector<expression> children) {
    return {kind, std::move(text), nullptr, std::move(children), {}};
  }
  static bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }

  void next() {
    is_string_ = false;
    token_.clear();
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
    if (at_ == text_.size()) return;
    char const c = text_[at_];
    if (c == '\'' || c == '"') return read_string(c);
    auto end = at_;
    if (is_name_start(c)) {
      while (end < text_.size() && (is_name_start(text_[end]) || is_digit(text_[end]))) ++end;
    } else if (is_digit(c)) {
      while (end < text_.size() &&
             (is_digit(text_[end]) || (text_[end] == '.' && end + 1 < text_.size() && is_digit(text_[end + 1]))))
        ++end;
    } else {
      auto const two = text_.substr(at_, 2);
      end += two == "==" || two == "!=" || two == "<=" || two == ">=" || two == "//" ? 2 : 1;
    }
    token_ = text_.substr(at_, end - at_);
    at_ = end;
  }
  void read_string(char quote) {
    is_string_ = true;
    for (++at_;; ++at_) {
      if (at_ >= text_.size()) fail("has a text without its end");
      char c = text_[at_];
      if (c == quote) break;
      if (c == '\\' && at_ + 1 < text_.size()) {
        c = text_[++at_];
        if (c == 'n')
          c = '\n';
        else if (c == 't')
          c = '\t';
        else if (c == 'r')
          c = '\r';
        else if (c != '\\' && c != '\'' && c != '"')
          token_ += '\\';
      }
      token_ += c;
    }
    ++at_;
  }

  expression disjunction() {
    auto e = conjunction();
    while (word("or")) e = make(what::binary, "or", {std::move(e), conjunction()});
    return e;
  }
  expression conjunction() {
    auto e = negation();
    while (word("and")) e = make(what::binary, "and", {std::move(e), negation()});
    return e;
  }
  expression negation() {
    if (word("not")) return make(what::unary, "not", {negation()});
    return comparison();
  }
  expression comparison() {
    auto e = sum();
    for (int count = 0;; ++count) {
      std::string op;
      for (std::string_view const o : {"==", "!=", "<=", ">=", "<", ">", "in"})
        if (op.empty() && word(o)) op = o;
      if (op.empty() && !is_string_ && token_ == "not") {
        next();
        if (!word("in")) fail("has a 'not' that is not followed by 'in'");
        op = "not in";
      }
      if (op.empty()) return e;
      if (count > 0) fail("chains comparisons");
      e = make(what::binary, op, {std::move(e), sum()});
    }
  }
  expression sum() {
    auto e = concatenation();
    for (;;) {
      if (word("+"))
        e = make(what::binary, "+", {std::move(e), concatenation()});
      else if (word("-"))
        e = make(what::binary, "-", {std::move(e), concatenation()});
      else
        return e;
    }
  }
  expression concatenation() {
    auto e = product();
    while (word("~")) e = make(what::binary, "~", {std::move(e), product()});
    return e;
  }
  expression product() {
    auto e = unary();
    for (;;) {
      std::string op;
      for (std::string_view const o : {"*", "//", "/", "%"})
        if (op.empty() && word(o)) op = o;
      if (op.empty()) return e;
      e = make(what::binary, op, {std::move(e), unary()});
    }
  }
  expression unary() {
    if (word("-")) return make(what::unary, "-", {unary()});
    if (word("+")) return make(what::unary, "+", {unary()});
    return filtered(postfix(primary()));
  }
  expression filtered(expression e) {
    for (;;) {
      if (word("|")) {
        auto f = make(what::filter, name(), {std::move(e)});
        if (word("(")) arguments(f);
        e = std::move(f);
      } else if (!is_string_ && token_ == "is") {
        next();
        bool const negated = word("not");
        auto t = make(what::test, name(), {std::move(e)});
        if (word("("))
          arguments(t);
        else if (!at_end() && (is_string_ || is_digit(token_[0])))
          t.children.push_back(primary());
        e = negated ? make(what::unary, "not", {std::move(t)}) : std::move(t);
      } else {
        return e;
      }
    }
  }
  expression postfix(expression e) {
    for (;;) {
      if (word(".")) {
        e = make(what::attribute, name(), {std::move(e)});
      } else if (word("(")) {
        e = make(what::call, "", {std::move(e)});
        arguments(e);
      } else if (word("[")) {
        expression from, to;
        bool const open = !is_string_ && token_ == ":";
        if (!open) from = ternary();
        if (word(":")) {
          if (is_string_ || token_ != "]") to = ternary();
          e = make(what::slice, "", {std::move(e), std::move(from), std::move(to)});
        } else {
          e = make(what::item, "", {std::move(e), std::move(from)});
        }
        if (!word("]")) fail("lacks a ']' (or has a slice with a step)");
      } else {
        return e;
      }
    }
  }
  void arguments(expression& call) {
    while (!word(")")) {
      auto a = ternary();
      if (a.kind == what::name && word("=")) {
        call.names.push_back(a.text);
        a = ternary();
      } else if (!call.names.empty()) {
        fail("has an argument without a name behind one with");
      }
      call.children.push_back(std::move(a));
      if (!word(",") && (is_string_ || token_ != ")")) fail("lacks a ')' at '" + token_ + "'");
    }
  }
  expression primary() {
    if (is_string_) {
      std::string all;
      while (is_string_) all += token_, next();  // texts side by side are one
      return {.kind = what::literal, .at = all};
    }
    if (token_.empty()) fail("ends too early");
    if (is_digit(token_[0])) {
      auto const number = std::exchange(token_, "");
      next();
      return {.kind = what::literal, .at = json::parse(number)};
    }
    if (word("(")) {
      auto e = ternary();
      if (!word(")")) fail("lacks a ')' (tuples are not understood)");
      return e;
    }
    if (word("[")) {
      auto e = make(what::list, "", {});
      while (!word("]")) {
        e.children.push_back(ternary());
        if (!word(",") && (is_string_ || token_ != "]")) fail("lacks a ']'");
      }
      return e;
    }
    if (word("{")) {
      auto e = make(what::dictionary, "", {});
      while (!word("}")) {
        e.children.push_back(ternary());
        if (!word(":")) fail("lacks a ':' in a dictionary");
        e.children.push_back(ternary());
        if (!word(",") && (is_string_ || token_ != "}")) fail("lacks a '}'");
      }
      return e;
    }
    for (auto const& [w, v] : {std::pair<char const*, json>{"true", true},
                               {"True", true},
                               {"false", false},
                               {"False", false},
                               {"none", nullptr},
                               {"None", nullptr}})
      if (word(w)) return {.kind = what::literal, .at = v};
    return {.kind = what::name, .text = name()};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string token_;
  bool is_string_ = false;
};

}  // namespace tenon::data::chat
