#pragma once
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/data/chat/expression.hpp"
#include "tenon/data/chat/value.hpp"

namespace tenon::data::chat {

/// What raise_exception(...) in a template throws: the template refuses these messages.
struct refused_messages : error {
  using error::error;
};

/// Names and their values; an inner scope hides an outer one.
class scopes {
 public:
  void push() { all_.emplace_back(); }
  void pop() { all_.pop_back(); }
  void set(std::string const& name, value v) { all_.back()[name] = std::move(v); }
  value get(std::string const& name) const {
    for (auto s = all_.rbegin(); s != all_.rend(); ++s)
      if (auto const found = s->find(name); found != s->end()) return found->second;
    return value::undefined();
  }
  /// The place of a name that exists, for `set ns.x = ...`; null where there is none.
  value* find(std::string const& name) {
    for (auto s = all_.rbegin(); s != all_.rend(); ++s)
      if (auto const found = s->find(name); found != s->end()) return &found->second;
    return nullptr;
  }

 private:
  std::vector<std::map<std::string, value>> all_{1};
};

/// Evaluates expressions in scopes.
class evaluator {
 public:
  explicit evaluator(scopes const& names) : names_(&names) {}

  value operator()(expression const& e) const {
    using what = expression::what;
    switch (e.kind) {
      case what::literal:
        return {e.at};
      case what::name:
        return names_->get(e.text);
      case what::list: {
        json all = json::array();
        for (auto const& c : e.children) all.push_back((*this)(c).at);
        return {all};
      }
      case what::dictionary: {
        json all = json::object();
        for (std::size_t i = 0; i + 1 < e.children.size(); i += 2)
          all[text_of((*this)(e.children[i]))] = (*this)(e.children[i + 1]).at;
        return {all};
      }
      case what::attribute:
        return item((*this)(e.children[0]), json(e.text), e.text);
      case what::item: {
        auto const key = (*this)(e.children[1]);
        return item((*this)(e.children[0]), key.at, text_of(key));
      }
      case what::slice:
        return slice((*this)(e.children[0]).at, (*this)(e.children[1]).at, (*this)(e.children[2]).at);
      case what::call:
        return call(e);
      case what::filter:
        return filter(e);
      case what::test:
        return {test(e)};
      case what::unary: {
        auto const v = (*this)(e.children[0]);
        if (e.text == "not") return {!truth(v)};
        if (!v.at.is_number()) fail("'" + e.text + "' before " + text_of(v.at, true));
        if (e.text == "+") return v;
        return v.at.is_number_integer() ? value{-v.at.get<std::int64_t>()} : value{-v.at.get<double>()};
      }
      case what::binary:
        return binary(e);
      case what::choice:
        return truth((*this)(e.children[1])) ? (*this)(e.children[0]) : (*this)(e.children[2]);
    }
    return value::undefined();
  }

 private:
  [[noreturn]] static void fail(std::string const& what) {
    throw error("the chat template asks for " + what + ", which is not understood or has no answer");
  }
  static value item(value const& of, json const& key, std::string const& name) {
    if (!of.defined) fail("'" + name + "' of something undefined");
    if (of.at.is_object()) {
      auto const found = key.is_string() ? of.at.find(key.get_ref<std::string const&>()) : of.at.end();
      return found == of.at.end() ? value::undefined() : value{*found};
    }
    if (!key.is_number_integer()) return value::undefined();
    auto i = key.get<std::int64_t>();
    auto const n = of.at.is_array() ? std::int64_t(of.at.size()) : 0;
    if (!of.at.is_array()) fail("item " + name + " of " + text_of(of.at, true).substr(0, 40));
    if (i < 0) i += n;
    return i < 0 || i >= n ? value::undefined() : value{of.at[std::size_t(i)]};
  }
  static value slice(json const& of, json const& from, json const& to) {
    if (!of.is_array()) fail("a slice of " + text_of(of, true).substr(0, 40));
    auto const n = std::int64_t(of.size());
    auto const bound = [&](json const& b, std::int64_t otherwise) {
      if (b.is_null()) return otherwise;
      if (!b.is_number_integer()) fail("a slice up to " + text_of(b, true));
      auto const i = b.get<std::int64_t>();
      return std::clamp<std::int64_t>(i < 0 ? i + n : i, 0, n);
    };
    json out = json::array();
    for (auto i = bound(from, 0), end = bound(to, n); i < end; ++i) out.push_back(of[std::size_t(i)]);
    return {out};
  }
  std::vector<value> values(expression const& e) const {  // the arguments, without what they belong to
    std::vector<value> all;
    for (std::size_t i = 1; i < e.children.size(); ++i) all.push_back((*this)(e.children[i]));
    return all;
  }

  value call(expression const& e) const {
    auto const& f = e.children[0];
    auto const a = values(e);
    if (f.kind == expression::what::attribute) return method((*this)(f.children[0]), f.text, a);
    if (f.kind != expression::what::name) fail("a call of something other than a function");
    if (f.text == "namespace" || f.text == "dict") {
      json all = json::object();
      if (e.names.size() != a.size()) fail(f.text + " of values without names");
      for (std::size_t i = 0; i < a.size(); ++i) all[e.names[i]] = a[i].at;
      return {all};
    }
    if (f.text == "raise_exception" && a.size() == 1)
      throw refused_messages("the chat template refuses this: " + text_of(a[0]));
    if (f.text == "range" && !a.empty() && a.size() <= 2 && a[0].at.is_number_integer() &&
        a.back().at.is_number_integer()) {
      json all = json::array();
      auto const end = a.back().at.get<std::int64_t>();
      for (auto i = a.size() == 2 ? a[0].at.get<std::int64_t>() : 0; i < end && all.size() < 1'000'000; ++i)
        all.push_back(i);
      return {all};
    }
    fail("the function " + f.text + " of " + std::to_string(a.size()) + " values");
  }

  static std::string strip(std::string const& s, std::string const& of, bool left, bool right) {
    auto const begin = left ? s.find_first_not_of(of) : 0;
    if (begin == s.npos) return "";
    auto const end = right ? s.find_last_not_of(of) : s.size() - 1;
    return end == s.npos ? "" : s.substr(begin, end - begin + 1);
  }
  static constexpr char const* blanks = " \t\n\r\f\v";

  static value method(value const& of, std::string const& name, std::vector<value> const& a) {
    auto const one = [&] { return a.size() == 1 && a[0].at.is_string() ? a[0].at.get<std::string>() : std::string(); };
    if (of.defined && of.at.is_string()) {
      auto const& s = of.at.get_ref<std::string const&>();
      bool const text_given = a.size() == 1 && a[0].at.is_string();
      if ((name == "strip" || name == "lstrip" || name == "rstrip") && (a.empty() || text_given))
        return {strip(s, a.empty() ? blanks : one(), name != "rstrip", name != "lstrip")};
      if (name == "startswith" && text_given) return {s.starts_with(one())};
      if (name == "endswith" && text_given) return {s.ends_with(one())};
      if ((name == "upper" || name == "lower") && a.empty()) return {cased(s, name == "upper")};
      if (name == "replace" && a.size() == 2 && a[0].at.is_string() && a[1].at.is_string())
        return {replaced(s, a[0].at.get<std::string>(), a[1].at.get<std::string>())};
      if (name == "split" && (a.empty() || text_given)) return {split(s, a.empty() ? "" : one(), a.empty())};
    }
    if (of.defined && of.at.is_object()) {
      if (name == "get" && (a.size() == 1 || a.size() == 2)) {
        auto const found = item(of, a[0].at, name);
        return found.defined ? found : a.size() == 2 ? a[1] : value{nullptr};
      }
      if ((name == "items" || name == "keys" || name == "values") && a.empty()) {
        json all = json::array();
        for (auto const& [k, v] : of.at.items())
          all.push_back(name == "items" ? json::array({k, v}) : name == "keys" ? json(k) : v);
        return {all};
      }
    }
    fail("the method " + name + " of " + (of.defined ? text_of(of.at, true).substr(0, 40) : "something undefined"));
  }
  static std::string cased(std::string s, bool upper) {
    for (char& c : s) {
      if (static_cast<unsigned char>(c) > 127) fail("upper or lower case of a text with letters outside of ASCII");
      if (upper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z') c = char(c ^ 32);
    }
    return s;
  }
  static std::string replaced(std::string s, std::string const& from, std::string const& to) {
    if (from.empty()) fail("the replacement of an empty text");
    for (std::size_t at = 0; (at = s.find(from, at)) != s.npos; at += to.size()) s.replace(at, from.size(), to);
    return s;
  }
  static json split(std::string const& s, std::string const& by, bool at_blanks) {
    json all = json::array();
    if (at_blanks) {
      for (std::size_t at = 0; (at = s.find_first_not_of(blanks, at)) != s.npos;) {
        auto const end = std::min(s.find_first_of(blanks, at), s.size());
        all.push_back(s.substr(at, end - at));
        at = end;
      }
      return all;
    }
    if (by.empty()) fail("a split at an empty text");
    std::size_t at = 0;
    for (std::size_t end; (end = s.find(by, at)) != s.npos; at = end + by.size()) all.push_back(s.substr(at, end - at));
    all.push_back(s.substr(at));
    return all;
  }

  value filter(expression const& e) const {
    auto const v = (*this)(e.children[0]);
    auto const a = values(e);
    auto const& f = e.text;
    if (f == "trim" && a.empty()) return {strip(text_of(v), blanks, true, true)};
    if (f == "tojson" || f == "to_json") {
      int const indent =
          e.names == std::vector<std::string>{"indent"} && a[0].at.is_number_integer() ? a[0].at.get<int>() : 0;
      if (a.size() != e.names.size() || (!a.empty() && indent == 0)) fail("tojson with these arguments");
      return {dumps(v.at, indent)};
    }
    if (f == "string" && a.empty()) return {text_of(v)};
    if ((f == "length" || f == "count") && a.empty()) {
      if (!v.defined) return {0};
      if (v.at.is_structured()) return {std::int64_t(v.at.size())};
      if (v.at.is_string()) {
        auto const& s = v.at.get_ref<std::string const&>();
        return {std::int64_t(std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xC0) != 0x80; }))};
      }
    }
    if ((f == "upper" || f == "lower") && a.empty()) return {cased(text_of(v), f == "upper")};
    if (f == "replace" && a.size() == 2) return {replaced(text_of(v), text_of(a[0]), text_of(a[1]))};
    if ((f == "default" || f == "d") && (a.size() == 1 || a.size() == 2))
      return !v.defined || (a.size() == 2 && truth(a[1]) && !truth(v)) ? a[0] : v;
    if ((f == "first" || f == "last") && a.empty() && v.at.is_array())
      return v.at.empty() ? value::undefined() : value{f == "first" ? v.at.front() : v.at.back()};
    if (f == "list" && a.empty() && v.at.is_array()) return v;
    if (f == "join" && a.size() <= 1 && v.at.is_array()) {
      std::string all;
      for (std::size_t i = 0; i < v.at.size(); ++i)
        all += (i > 0 && !a.empty() ? text_of(a[0]) : "") + text_of(v.at[i]);
      return {all};
    }
    if ((f == "selectattr" || f == "rejectattr") && (a.size() == 1 || a.size() == 3) && v.at.is_array()) {
      json all = json::array();
      if (a.size() == 3 && text_of(a[1]) != "equalto" && text_of(a[1]) != "==")
        fail(f + " with the test " + text_of(a[1]));
      for (auto const& x : v.at) {
        auto const at = item({x}, a[0].at, text_of(a[0]));
        bool const holds = a.size() == 1 ? truth(at) : at.defined && at.at == a[2].at;
        if (holds == (f == "selectattr")) all.push_back(x);
      }
      return {all};
    }
    fail("the filter " + f);
  }

  bool test(expression const& e) const {
    auto const v = (*this)(e.children[0]);
    auto const& t = e.text;
    if (t == "defined") return v.defined;
    if (t == "undefined") return !v.defined;
    if (t == "none") return v.defined && v.at.is_null();
    if (t == "string") return v.defined && v.at.is_string();
    if (t == "mapping") return v.defined && v.at.is_object();
    if (t == "sequence" || t == "iterable") return !v.defined || v.at.is_structured() || v.at.is_string();
    if (t == "number") return v.defined && (v.at.is_number() || v.at.is_boolean());
    if (t == "boolean") return v.defined && v.at.is_boolean();
    if (t == "true" || t == "false") return v.defined && v.at == json(t == "true");
    if ((t == "equalto" || t == "eq") && e.children.size() == 2) return v.at == (*this)(e.children[1]).at;
    if ((t == "odd" || t == "even") && v.at.is_number_integer())
      return (v.at.get<std::int64_t>() % 2 != 0) == (t == "odd");
    fail("the test 'is " + t + "'");
  }

  value binary(expression const& e) const {
    auto const& op = e.text;
    auto const a = (*this)(e.children[0]);
    if (op == "or") return truth(a) ? a : (*this)(e.children[1]);
    if (op == "and") return truth(a) ? (*this)(e.children[1]) : a;
    auto const b = (*this)(e.children[1]);
    if (op == "~") return {text_of(a) + text_of(b)};
    if (op == "==") return {a.defined == b.defined && a.at == b.at};
    if (op == "!=") return {!(a.defined == b.defined && a.at == b.at)};
    if (op == "in" || op == "not in") return {contains(b, a) == (op == "in")};
    if (a.defined && b.defined) {
      if (op == "+" && a.at.is_string() && b.at.is_string()) return {a.at.get<std::string>() + b.at.get<std::string>()};
      if (op == "+" && a.at.is_array() && b.at.is_array()) {
        auto all = a.at;
        for (auto const& x : b.at) all.push_back(x);
        return {all};
      }
      if (a.at.is_string() && b.at.is_string() && op.find_first_of("<>") == 0)
        return {ordered(op, a.at.get<std::string>().compare(b.at.get<std::string>()))};
      if (a.at.is_number() && b.at.is_number()) return number(op, a.at, b.at);
    }
    fail("'" + op + "' between " + (a.defined ? text_of(a.at, true).substr(0, 40) : "something undefined") + " and " +
         (b.defined ? text_of(b.at, true).substr(0, 40) : "something undefined"));
  }
  static bool contains(value const& in, value const& x) {
    if (in.defined && in.at.is_string() && x.at.is_string())
      return in.at.get_ref<std::string const&>().find(x.at.get_ref<std::string const&>()) != std::string::npos;
    if (in.defined && in.at.is_object()) return x.at.is_string() && in.at.contains(x.at.get_ref<std::string const&>());
    if (in.defined && in.at.is_array()) return std::find(in.at.begin(), in.at.end(), x.at) != in.at.end();
    if (!in.defined) return false;
    fail("'in' of " + text_of(in.at, true).substr(0, 40));
  }
  static bool ordered(std::string const& op, int sign) {
    return op == "<" ? sign < 0 : op == "<=" ? sign <= 0 : op == ">" ? sign > 0 : sign >= 0;
  }
  static value number(std::string const& op, json const& a, json const& b) {
    if (op[0] == '<' || op[0] == '>') {
      double const x = a.get<double>(), y = b.get<double>();
      return {ordered(op, x < y ? -1 : x > y)};
    }
    bool const whole = a.is_number_integer() && b.is_number_integer();
    if (op == "/" || !whole) {
      double const x = a.get<double>(), y = b.get<double>();
      if (op == "+") return {x + y};
      if (op == "-") return {x - y};
      if (op == "*") return {x * y};
      if (op == "/" && y != 0) return {x / y};
      fail("'" + op + "' of numbers");
    }
    auto const x = a.get<std::int64_t>(), y = b.get<std::int64_t>();
    if (op == "+") return {x + y};
    if (op == "-") return {x - y};
    if (op == "*") return {x * y};
    if (y == 0) fail("a division by zero");
    auto const down = x / y - ((x % y != 0 && (x < 0) != (y < 0)) ? 1 : 0);  // towards minus infinity, as Python
    return {op == "//" ? down : x - down * y};
  }

  scopes const* names_;
};

}  // namespace tenon::data::chat
