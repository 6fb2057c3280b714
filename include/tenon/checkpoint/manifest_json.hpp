#pragma once
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"

namespace tenon::checkpoint {
namespace detail {

struct field_writer;
struct field_reader;

/// Where in which file a value stands, for messages.
struct json_place {
  std::string const& file;
  std::string path;
  json_place below(std::string const& key) const { return {file, path.empty() ? key : path + "." + key}; }
  error wrong(std::string const& what) const { return error("'" + file + "': key '" + path + "' " + what); }
};

}  // namespace detail

/// `T&` for a visitor that reads fields out of JSON, `T const&` for one that writes them.
template <class T, class V>
using auto_ref = std::conditional_t<std::is_same_v<V, detail::field_reader>, T&, T const&>;

namespace detail {

inline std::string text_of(nlohmann::json const& value, int indent, std::string const& what) {
  try {
    return value.dump(indent);
  } catch (nlohmann::json::exception const&) {
    throw error("a string of the " + what + " is not valid UTF-8; rename what it names");
  }
}

template <class T>
nlohmann::json json_of(T const& value, std::string const& key);

struct field_writer {
  nlohmann::json out = nlohmann::json::object();
  template <class T>
  void operator()(char const* key, T const& value) {
    out[key] = json_of(value, key);
  }
};

template <class T>
struct json_form {  // a type with a list of fields
  static nlohmann::json write(T const& value, std::string const&) {
    field_writer writer;
    visit_fields(writer, value);
    return std::move(writer.out);
  }
};
template <class T>
requires std::is_arithmetic_v<T> || std::same_as<T, std::string> || std::same_as<T, nlohmann::json>
struct json_form<T> {
  static nlohmann::json write(T const& value, std::string const& key) {
    if constexpr (std::is_floating_point_v<T>)
      if (!std::isfinite(value))
        throw error("'" + key +
                    "' is not a finite number, so it cannot go into a manifest; stop the run before it diverges");
    return value;
  }
};
template <class T>
struct json_form<std::optional<T>> {
  static nlohmann::json write(std::optional<T> const& value, std::string const& key) {
    return value ? json_of(*value, key) : nlohmann::json();
  }
};
template <class T>
struct json_form<std::vector<T>> {
  static nlohmann::json write(std::vector<T> const& values, std::string const& key) {
    nlohmann::json out = nlohmann::json::array();
    for (auto const& value : values) out.push_back(json_of(value, key));
    return out;
  }
};
template <>
struct json_form<std::pair<std::string, std::string>> {
  static nlohmann::json write(std::pair<std::string, std::string> const& value, std::string const&) {
    return nlohmann::json::array({value.first, value.second});
  }
};
template <class T>
struct json_form<std::map<std::string, T>> {
  static nlohmann::json write(std::map<std::string, T> const& values, std::string const&) {
    nlohmann::json out = nlohmann::json::object();
    for (auto const& [key, value] : values) out[key] = json_of(value, key);
    return out;
  }
};

template <class T>
nlohmann::json json_of(T const& value, std::string const& key) {
  return json_form<T>::write(value, key);
}

template <class T>
void from_json(nlohmann::json const& in, T& out, json_place const& place);

/// Takes the fields of one object out of JSON; afterwards nothing may be left over.
struct field_reader {
  nlohmann::json const& in;
  json_place const& place;
  std::vector<std::string> taken{};

  template <class T>
  void operator()(char const* key, T& value) {
    auto const found = in.find(key);
    if (found == in.end()) throw place.below(key).wrong("is missing");
    from_json(*found, value, place.below(key));
    taken.push_back(key);
  }
  void finish() const {
    for (auto const& [key, value] : in.items()) {
      bool known = false;
      for (auto const& name : taken) known = known || name == key;
      if (!known) throw place.below(key).wrong("is not known to this build");
    }
  }
};

inline void from_json(nlohmann::json const& in, std::string& out, json_place const& place) {
  if (!in.is_string()) throw place.wrong("must be a string");
  out = in.get<std::string>();
}
inline void from_json(nlohmann::json const& in, nlohmann::json& out, json_place const&) { out = in; }
inline void from_json(nlohmann::json const& in, double& out, json_place const& place) {
  if (!in.is_number()) throw place.wrong("must be a number");
  out = in.get<double>();
}
inline void from_json(nlohmann::json const& in, std::uint64_t& out, json_place const& place) {
  if (!in.is_number_unsigned()) throw place.wrong("must be a whole number, not negative");
  out = in.get<std::uint64_t>();
}
inline void from_json(nlohmann::json const& in, std::int64_t& out, json_place const& place) {
  bool const fits = in.is_number_integer() &&
                    (!in.is_number_unsigned() || in.get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX));
  if (!fits) throw place.wrong("must be a whole number of 64 bits");
  out = in.get<std::int64_t>();
}
template <class T>
void from_json(nlohmann::json const& in, std::optional<T>& out, json_place const& place) {
  out.reset();
  if (!in.is_null()) from_json(in, out.emplace(), place);
}
inline void from_json(nlohmann::json const& in, std::pair<std::string, std::string>& out, json_place const& place) {
  if (!in.is_array() || in.size() != 2) throw place.wrong("must be a pair of strings");
  from_json(in[0], out.first, place);
  from_json(in[1], out.second, place);
}
template <class T>
void from_json(nlohmann::json const& in, std::vector<T>& out, json_place const& place) {
  if (!in.is_array()) throw place.wrong("must be a list");
  out.clear();
  for (std::size_t i = 0; i < in.size(); ++i) from_json(in[i], out.emplace_back(), place.below(std::to_string(i)));
}
template <class T>
void from_json(nlohmann::json const& in, std::map<std::string, T>& out, json_place const& place) {
  if (!in.is_object()) throw place.wrong("must be an object");
  out.clear();
  for (auto const& [key, value] : in.items()) from_json(value, out[key], place.below(key));
}
template <class T>
void from_json(nlohmann::json const& in, T& out, json_place const& place) {
  if (!in.is_object()) throw place.wrong("must be an object");
  field_reader reader{in, place};
  visit_fields(reader, out);
  reader.finish();
}

}  // namespace detail
}  // namespace tenon::checkpoint
