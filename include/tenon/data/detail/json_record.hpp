#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace tenon::data::detail {

/// Takes the two fields out of one JSON record without building a tree.
struct record_sax {
  std::string const& text_field;
  std::string const& difficulty_field;
  std::string text, reason;
  double difficulty = 0;
  bool has_text = false, has_difficulty = false;
  int depth = 0;
  enum class wanted { nothing, text, difficulty } want = wanted::nothing;

  bool fail(std::string why) {
    if (reason.empty()) reason = std::move(why);
    return false;
  }
  bool plain(char const* type) {
    if (depth == 0) return fail("the record is not a JSON object");
    if (depth == 1 && want == wanted::text) return fail("field \"" + text_field + "\" is " + type + ", not a string");
    if (depth == 1 && want == wanted::difficulty)
      return fail("field \"" + difficulty_field + "\" is " + type + ", not a number");
    return true;
  }
  bool numeric(double v) {
    if (depth == 1 && want == wanted::difficulty) {
      difficulty = v, has_difficulty = true;
      return std::isfinite(float(v)) || fail("field \"" + difficulty_field + "\" is too large");
    }
    return plain("a number");
  }
  bool null() { return plain("null"); }
  bool boolean(bool) { return plain("a boolean"); }
  bool number_integer(std::int64_t v) { return numeric(double(v)); }
  bool number_unsigned(std::uint64_t v) { return numeric(double(v)); }
  bool number_float(double v, std::string const&) { return numeric(v); }
  bool string(std::string& v) {
    if (depth == 1 && want == wanted::text) {
      text = std::move(v), has_text = true;
      return true;
    }
    return plain("a string");
  }
  bool binary(std::vector<std::uint8_t>&) { return plain("binary"); }
  bool open(char const* type) {
    if (depth > 0 && !plain(type)) return false;
    return ++depth <= 64 || fail("the record is nested more than 64 deep");
  }
  bool start_object(std::size_t) { return open("an object"); }
  bool end_object() { return --depth, true; }
  bool start_array(std::size_t) { return depth == 0 ? fail("the record is not a JSON object") : open("an array"); }
  bool end_array() { return --depth, true; }
  bool key(std::string& k) {
    if (depth != 1) return true;
    want = k == text_field                                      ? wanted::text
           : !difficulty_field.empty() && k == difficulty_field ? wanted::difficulty
                                                                : wanted::nothing;
    if (want == wanted::text && has_text) return fail("field \"" + text_field + "\" occurs twice");
    if (want == wanted::difficulty && has_difficulty) return fail("field \"" + difficulty_field + "\" occurs twice");
    return true;
  }
  bool parse_error(std::size_t at, std::string const&, nlohmann::json::exception const& e) {
    std::string why = e.what();
    if (auto const p = why.find("] "); p != std::string::npos) why = why.substr(p + 2);
    return fail("malformed JSON near column " + std::to_string(at) + " (" + why + ")");
  }
};

}  // namespace tenon::data::detail
