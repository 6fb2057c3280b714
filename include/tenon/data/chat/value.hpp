#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tenon/core/error.hpp"

/// Values of a chat template: JSON in Python's manner, and "undefined".
namespace tenon::data::chat {

using json = nlohmann::ordered_json;

/// A value, or the absence of one (Jinja's undefined: false, prints as nothing, has no attributes).
struct value {
  json at = nullptr;
  bool defined = true;
  static value undefined() { return {nullptr, false}; }
};

/// Python's truth of a value.
inline bool truth(value const& v) {
  if (!v.defined) return false;
  switch (v.at.type()) {
    case json::value_t::null:
      return false;
    case json::value_t::boolean:
      return v.at.get<bool>();
    case json::value_t::string:
      return !v.at.get_ref<std::string const&>().empty();
    case json::value_t::array:
    case json::value_t::object:
      return !v.at.empty();
    default:
      return v.at.get<double>() != 0;
  }
}

/// Python's str() of a number: 2.0 keeps its point.
inline std::string number_text(json const& v) {
  if (!v.is_number_float()) return v.dump();
  double const x = v.get<double>();
  if (x == std::floor(x) && std::abs(x) < 1e16) {
    char text[40];
    std::snprintf(text, sizeof text, "%.1f", x);
    return text;
  }
  return v.dump();
}

/// What {{ v }} prints: Python's str(); inside of lists and dictionaries its repr().
inline std::string text_of(json const& v, bool inside = false) {
  switch (v.type()) {
    case json::value_t::null:
      return "None";
    case json::value_t::boolean:
      return v.get<bool>() ? "True" : "False";
    case json::value_t::string: {
      auto const& s = v.get_ref<std::string const&>();
      if (!inside) return s;
      char const quote = s.find('\'') != s.npos && s.find('"') == s.npos ? '"' : '\'';
      std::string out(1, quote);
      for (char const c : s) {
        if (c == '\n')
          out += "\\n";
        else if (c == '\t')
          out += "\\t";
        else if (c == '\r')
          out += "\\r";
        else if (c == '\\' || c == quote)
          out += '\\', out += c;
        else
          out += c;
      }
      return out + quote;
    }
    case json::value_t::array: {
      std::string out = "[";
      for (auto const& x : v) out += (out.size() > 1 ? ", " : "") + text_of(x, true);
      return out + "]";
    }
    case json::value_t::object: {
      std::string out = "{";
      for (auto const& [k, x] : v.items())
        out += (out.size() > 1 ? ", " : "") + text_of(json(k), true) + ": " + text_of(x, true);
      return out + "}";
    }
    default:
      return number_text(v);
  }
}
inline std::string text_of(value const& v) { return v.defined ? text_of(v.at) : std::string(); }

/// json.dumps(v, ensure_ascii=False): what the filter tojson gives in transformers; with `indent` spaces where above 0.
inline std::string dumps(json const& v, int indent = 0, int depth = 0) {
  if (v.is_number_float()) return number_text(v);
  if (!v.is_structured()) return v.dump();
  bool const object = v.is_object();
  if (v.empty()) return object ? "{}" : "[]";
  auto const line = [&](int d) {
    return indent > 0 ? "\n" + std::string(std::size_t(indent * d), ' ') : std::string();
  };
  std::string out(1, object ? '{' : '[');
  bool first = true;
  for (auto const& [k, x] : v.items()) {
    if (!first) out += indent > 0 ? "," : ", ";
    first = false;
    out += line(depth + 1);
    if (object) out += json(k).dump() + ": ";
    out += dumps(x, indent, depth + 1);
  }
  return out + line(depth) + (object ? '}' : ']');
}

}  // namespace tenon::data::chat
