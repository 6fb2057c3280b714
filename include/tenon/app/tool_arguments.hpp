#pragma once
#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/app/command_line.hpp"
#include "tenon/core/error.hpp"

namespace tenon::app {

/// The options of a verb and its one path. Throws tenon::error for anything else, and for what was given twice.
struct tool_arguments {
  std::string path;  ///< empty where none was given
  std::multimap<std::string, std::string, std::less<>> values;

  /// `first`: index of the first argument; `names` take a value, `switches` none; `repeated` of the names may be given
  /// more than once.
  tool_arguments(int argc, char const* const* argv, std::string const& verb, int first,
                 std::vector<std::string> const& names, std::vector<std::string> const& switches,
                 std::vector<std::string> const& repeated = {}) {
    auto const among = [](std::vector<std::string> const& list, std::string const& name) {
      return std::find(list.begin(), list.end(), name) != list.end();
    };
    arguments rest{argc, argv, first};
    while (!rest.done()) {
      std::string_view const argument = rest.take();
      if (argument.substr(0, 2) != "--" || argument.size() < 3) {
        if (!path.empty())
          throw error("'" + verb + "' takes one directory, and \"" + std::string(argument) + "\" is one too many");
        path = argument;
        continue;
      }
      auto const equals = argument.find('=');
      bool const has = equals != argument.npos;
      std::string const name(argument.substr(2, (has ? equals : argument.size()) - 2));
      bool const is_switch = among(switches, name);
      if (!is_switch && !among(names, name)) {
        auto all = names;
        all.insert(all.end(), switches.begin(), switches.end());
        auto const near = nearest(name, all);
        throw error("'" + verb + "' has no option --" + name + (near.empty() ? "" : "; did you mean --" + near + "?"));
      }
      if (is_switch && has) throw error("--" + name + " takes no value");
      if (values.count(name) != 0 && !among(repeated, name))
        throw error("--" + name + " was given twice; give it once");
      values.emplace(name, is_switch ? "1" : rest.value(name, has ? argument.substr(equals + 1) : "", has));
    }
  }
  std::string get(std::string const& name, std::string otherwise) const {
    auto const found = values.find(name);
    return found == values.end() ? std::move(otherwise) : found->second;
  }
  std::vector<std::string> all(std::string const& name) const {
    std::vector<std::string> list;
    for (auto [at, end] = values.equal_range(name); at != end; ++at) list.push_back(at->second);
    return list;
  }
  std::string required(std::string const& name) const {
    auto const found = values.find(name);
    if (found == values.end()) throw error("say where to write it, with --" + name);
    return found->second;
  }
};

}  // namespace tenon::app
